"""Makes the pictures of docs/slicer.md: three rounds on the bundled CT, its recorded extreme points clicked with the
mouse in a slice view, with the shipped model or another one. Needs pillow.

    python tools/slicer/pictures.py [MODEL.safetensors]

Corrections are slices of the reference. Prints how the segment compares with the reference.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "python" / "support"))

import headless
from checkout import ROOT, builtLibrary

headless.start()
os.environ.setdefault("MEM3D_LIBRARY", str(builtLibrary()))

import numpy as np
import slicer
import slicer_app
import slicer_editor
import vtk
import window

slicer_app.completeApplication()

from Mem3DLib.Editors import openEditor
from Mem3DLib.SegmentEditorMem3D import SegmentEditorMem3DEffect
from Mem3DLib.Settings import Settings
from Mem3DTesting import addSegmentation, setVoxels, voxels
from PIL import Image
from slicer_views import SliceView, ThreeDView

DATA = ROOT / "examples" / "demo" / "data"
IMAGES = ROOT / "docs" / "images"
SIDE = 400
PANEL = 400, 380
COLOR = (0.95, 0.55, 0.15)


class View(SliceView):
    """A slice view that can be drawn in: what the effect asks of qMRMLSliceWidget."""

    def className(self):
        return "qMRMLSliceWidget"

    def sliceLogic(self):
        return self.logic

    def sliceView(self):
        return self

    def scheduleRender(self):
        pass

    def xy(self, ras):
        toXY = np.linalg.inv(slicer.util.arrayFromVTKMatrix(self.node.GetXYToRAS()))
        return [int(round(v)) for v in (toXY @ (*ras, 1.0))[:2]]


class Host(slicer_app.ScriptedEffect):
    def addActor2D(self, view, actor):
        view.renderer.AddViewProp(actor)

    def removeActor2D(self, view, actor):
        view.renderer.RemoveViewProp(actor)


def read(name):
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(DATA / name))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name.split(".")[0])
    if not storage.ReadData(node):
        raise SystemExit("%s cannot be read" % name)
    node.CreateDefaultDisplayNodes()
    return node


def save(name, pictures):
    """Side by side."""
    white = np.full((SIDE, 6, 3), 255, np.uint8)
    row = [part for picture in pictures for part in (picture, white)][:-1]
    Image.fromarray(np.concatenate(row, axis=1)).save(IMAGES / name, quality=85, optimize=True)


def main(model):
    volume = read("sts_ct_012.nii.gz")
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(400, 40)
    reference = slicer.util.arrayFromVolume(read("sts_ct_012_label.nii.gz")) != 0
    segmentation = addSegmentation(volume, ("tumour",))
    segmentation.GetSegmentation().GetSegment("tumour").SetColor(*COLOR)
    editor = openEditor(volume, segmentation, "tumour")
    Settings(modelPath=model, device="cpu", threads=1).save(slicer.app.userSettings())
    host = Host(editor)
    effect = SegmentEditorMem3DEffect(host)
    effect.setMRMLDefaults()
    effect.setupOptionsFrame()
    effect.activate()
    effect.updateGUIFromMRML()
    logic, ui = effect.logic, effect.panel.ui
    host.frame.resize(*PANEL)
    host.frame.show()
    application = slicer.app.applicationLogic()
    axial, coronal, sagittal = (View(application, volume, o, (SIDE, SIDE)) for o in ("Axial", "Coronal", "Sagittal"))

    def wait():
        if not slicer_app.processEvents(lambda: not logic.worker.busy, 600):
            raise SystemExit("the engine did not end")
        slicer_app.application.processEvents()

    def press(name):
        ui[name].click()
        wait()

    def panel(name):
        slicer_app.application.processEvents()
        host.frame.grab().save(str(IMAGES / name))

    def compare(what):
        mask = voxels(segmentation, "tumour", volume)
        both = np.count_nonzero(mask & reference)
        print("%s: DSC %.2f" % (what, 2 * both / (np.count_nonzero(mask) + np.count_nonzero(reference))))

    # The first round. The grid is the volume's: its matrix turns voxels into positions.
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    (interaction,) = json.loads((DATA / "prompts.json").read_text())["interactions"]
    points = [(slicer.util.arrayFromVTKMatrix(matrix) @ (w, h, d, 1))[:3] for d, h, w in interaction["points"]]
    middle = np.mean(points, axis=0)
    for view in (axial, coronal, sagittal):
        view.node.JumpSliceByCentering(*middle)
    ui["extremePointsButton"].click()
    mouse = slicer_app.Mouse(effect, axial)
    for point in points[:3]:
        mouse.send("LeftButtonPressEvent", axial.xy(point))
        mouse.send("LeftButtonReleaseEvent", axial.xy(point))
    clicked = axial.image()
    mouse.send("LeftButtonPressEvent", axial.xy(points[3]))
    mouse.send("LeftButtonReleaseEvent", axial.xy(points[3]))
    wait()
    preview = axial.image()
    press("propagateButton")
    save("slicer-interaction.jpg", [clicked, preview, coronal.image()])
    panel("slicer-panel.png")
    for size in ((1366, 768), (1920, 1080)):
        views = [axial.image(), ThreeDView(application, slicer.mrmlScene, (SIDE, SIDE)).image()]
        views += [coronal.image(), sagittal.image()]
        name = IMAGES / ("slicer-%dx%d.jpg" % size)
        _, seen = window.save(name, size, host.frame, views, "Mem3D CT", "tumour", COLOR)
        print("%s shows %s" % (name.name, ", ".join(seen)))
    host.frame.setParent(None)
    host.frame.resize(*PANEL)
    host.frame.show()
    press("applyButton")
    compare("round 1")

    # The others: the slice that is suggested, painted as the reference has it.
    for round_ in (2, 3):
        press("nextSliceButton")
        number = logic.state().suggestion.slice
        before = axial.image()
        painted = voxels(segmentation, "tumour", volume)
        painted[number] = reference[number]
        setVoxels(segmentation, "tumour", volume, painted)
        after = axial.image()
        press("propagateButton")
        press("applyButton")
        coronal.node.JumpSliceByCentering(*middle)
        save("slicer-correct.jpg", [before, after, coronal.image()])
        compare("round %d, slice %d corrected" % (round_, number))

    editor.logic.ToggleSegmentationSurfaceRepresentation(True)
    for view in (axial, coronal, sagittal):
        view.node.JumpSliceByCentering(*middle)
    views = [view.image() for view in (axial, coronal, sagittal)]
    save("slicer-views.jpg", views + [ThreeDView(application, slicer.mrmlScene, (SIDE, SIDE)).image()])
    ui["settingsButton"].setChecked(True)
    host.frame.resize(PANEL[0], 640)
    panel("slicer-settings.png")
    effect.cleanup()
    modulePicture(model)


def modulePicture(model):
    module = slicer_editor.complete()
    Settings(modelPath=model, device="cpu", threads=1).save(slicer.app.userSettings())
    widget = module.Mem3DWidget()
    widget.setup()
    panel = widget.panel
    panel.ui["settingsButton"].click()
    panel.ui["testButton"].click()
    if not slicer_app.processEvents(lambda: not panel.worker.busy, 600):
        raise SystemExit("the try did not end")
    panel.widget.resize(430, 480)
    panel.widget.show()
    slicer_app.application.processEvents()
    panel.widget.grab().save(str(IMAGES / "slicer-module.png"))
    widget.cleanup()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    main(sys.argv[1] if len(sys.argv) == 2 else "")  # empty: the shipped one
