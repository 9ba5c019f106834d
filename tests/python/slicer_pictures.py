"""Makes the pictures of docs/slicer.md: the panel, and slice and 3D views with a result, on the bundled CT.

    python tests/python/slicer_pictures.py MODEL.safetensors
    python tests/python/slicer_pictures.py --reference

With a model, the bundled prompts are drawn and propagated; with --reference, the bundled reference mask is the result
(resumed, so that the panel and the views show how things look, not how well a model does). Needs pillow.
"""

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "slicer-module" / "Mem3D"
DATA = ROOT / "examples" / "demo" / "data"
IMAGES = ROOT / "docs" / "images"
sys.path[:0] = [str(MODULE), str(MODULE / "Testing" / "Python"), str(Path(__file__).parent)]

import conftest  # noqa: E402
import headless  # noqa: E402

headless.start()
os.environ.setdefault("MEM3D_LIBRARY", str(conftest.builtLibrary()))

import numpy as np  # noqa: E402
import slicer  # noqa: E402
import slicer_app  # noqa: E402

slicer_app.completeApplication()

from Mem3DLib import Native, Segments  # noqa: E402
from Mem3DLib.Editors import LogicEditor  # noqa: E402
from Mem3DLib.SegmentEditorMem3D import SegmentEditorMem3DEffect  # noqa: E402
from Mem3DLib.Settings import Settings  # noqa: E402
from Mem3DTesting import addSegmentation, setVoxels  # noqa: E402
from PIL import Image  # noqa: E402
from slicer_views import SliceView, ThreeDView  # noqa: E402

KINDS = {"scribble": Native.SCRIBBLE, "box": Native.BOX, "extreme_points": Native.EXTREME_POINTS, "click": Native.CLICK}


def read(name):
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(DATA / name))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name.split(".")[0])
    if not storage.ReadData(node):
        raise SystemExit("%s cannot be read" % name)
    node.CreateDefaultDisplayNodes()
    return node


def main(model):
    volume = read("sts_ct_012.nii.gz")
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(400, 40)
    segmentation = addSegmentation(volume, ("tumour",))
    segmentation.GetSegmentation().GetSegment("tumour").SetColor(0.95, 0.55, 0.15)
    editor = LogicEditor.create(volume, segmentation, "tumour")
    Settings(modelPath=model or "random:1", device="cpu").save(slicer.app.userSettings())
    host = slicer_app.ScriptedEffect(editor)
    effect = SegmentEditorMem3DEffect(host)
    effect.setMRMLDefaults()
    effect.setupOptionsFrame()
    effect.activate()
    effect.updateGUIFromMRML()
    logic = effect.logic
    drawn = json.loads((DATA / "prompts.json").read_text())["interactions"][0]
    axis, number = drawn["axis"], drawn["slice"]
    if model is None:
        setVoxels(segmentation, "tumour", volume, slicer.util.arrayFromVolume(read("sts_ct_012_label.nii.gz")) != 0)
        logic.accept(axis, number)
    else:
        logic.start()
        logic.worker.wait()
        grid = Segments.Lattice(editor.sourceImage(), segmentation).grid
        points = grid.indexToRas(drawn["points"])
        logic.interact(KINDS[drawn["kind"]], points, axis=axis)
    logic.worker.wait()
    effect.propagate(Native.BOTH, None, None)
    logic.worker.wait()
    center = logic.sliceCenterRas(axis, number)
    application = slicer.app.applicationLogic()
    slices = [SliceView(application, volume, o, (420, 420)) for o in ("Axial", "Coronal")]
    for view in slices:
        view.node.JumpSliceByCentering(*center)
    host.frame.resize(430, 600)
    host.frame.show()
    effect.showState()
    slicer_app.application.processEvents()
    IMAGES.mkdir(exist_ok=True)
    host.frame.grab().save(str(IMAGES / "slicer-panel.png"))
    if model is None:  # what random weights made of it was only for the strip
        logic.undoStep()
        logic.worker.wait()
    logic.apply()
    logic.worker.wait()
    editor.logic.ToggleSegmentationSurfaceRepresentation(True)
    views = [view.image() for view in slices] + [ThreeDView(application, slicer.mrmlScene, (420, 420)).image()]
    Image.fromarray(np.concatenate(views, axis=1)).save(IMAGES / "slicer-views.jpg", quality=85, optimize=True)
    effect.cleanup()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(None if sys.argv[1] == "--reference" else sys.argv[1])
