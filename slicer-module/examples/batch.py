"""Segments a folder of volumes from interactions placed in Slicer.

    Slicer --no-main-window --no-splash --python-script batch.py [--force] FOLDER RESULTS
    python batch.py [--force] FOLDER RESULTS            (with slicer-core instead of Slicer)

For every volume CASE.nrrd, CASE.nii.gz or CASE.nii of FOLDER it reads the interactions CASE_SEGMENT.mrk.json,
CASE_SEGMENT_2.mrk.json, CASE_SEGMENT_negative.mrk.json and so on by the rules of `mem3d batch` (docs/interactions.md),
propagates each segment along each axis that it is drawn on, and writes RESULTS/CASE.seg.nrrd. A result that is there is
left alone, as it may have been corrected; --force makes it again. Model, device, threads and place of the engine:
environment variables MEM3D_MODEL, MEM3D_DEVICE, MEM3D_THREADS and MEM3D_MODE; for each that is not set, the module's
settings in Slicer. A case that fails is reported and left out; the exit code is the number of such cases.
"""

import gzip
import os
import re
import sys
import time
import traceback
import zlib
from pathlib import Path

import slicer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Mem3D"))

from Mem3DLib.Editors import openEditor
from Mem3DLib.Errors import UserError
from Mem3DLib.Interactions import interactionsOf, nameOfCase
from Mem3DLib.Native import Error
from Mem3DLib.Segments import Lattice
from Mem3DLib.SessionLogic import SessionLogic
from Mem3DLib.Settings import Settings

VOLUME = re.compile(r"(?P<case>.+)\.(nrrd|nhdr|nii|nii\.gz|mha)$")


def cases(folder):
    """(name, volume file, [(what the markups' name means, interactions file), ...]) of everything there is something to
    do for."""
    files = sorted(Path(folder).iterdir())
    volumes = {}
    for path in files:
        match = VOLUME.match(path.name)
        if match and not path.name.endswith(".seg.nrrd"):
            volumes[match["case"]] = path
    markups = {case: [] for case in volumes}
    for path in files:
        if path.name.endswith(".mrk.json"):
            stem = path.name[: -len(".mrk.json")]
            # Of the volumes ct and ct_2, the longer name has ct_2_liver.mrk.json.
            owners = [case for case in volumes if nameOfCase(stem, case)]
            if owners:
                case = max(owners, key=len)
                markups[case].append((nameOfCase(stem, case), path))
    for case, path in volumes.items():
        if markups[case]:
            yield case, path, markups[case]


def read(scene, storageClass, node, path):
    """Reads a file into a new node, without Slicer's Qt file dialogs."""
    storage = storageClass()
    storage.SetScene(scene)
    storage.SetFileName(str(path))
    node = scene.AddNode(node) if node is not None else None
    if not storage.ReadData(node):
        raise UserError("%s cannot be read. Open it in Slicer and save it again." % path)
    node.SetName(VOLUME.match(path.name)["case"])
    return node


def readMarkups(scene, path):
    storage = slicer.vtkMRMLMarkupsJsonStorageNode()
    storage.SetScene(scene)
    # The file names the kind of its markups.
    node = storage.AddNewMarkupsNodeFromFile(str(path), path.name[: -len(".mrk.json")])
    if node is None:
        raise UserError("%s holds no markups that can be read." % path)
    return node


def segment(scene, settings, volumePath, interactions, resultPath):
    """One case; gives the number of segments."""
    volume = read(scene, slicer.vtkMRMLVolumeArchetypeStorageNode, slicer.vtkMRMLScalarVolumeNode(), volumePath)
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", volume.GetName())
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    names = list(dict.fromkeys(named.segment for named, _ in interactions))
    for name in names:
        segmentation.GetSegmentation().AddEmptySegment(name, name)
    editor = openEditor(volume, segmentation, names[0])
    editor.node().SetOverwriteMode(editor.node().OverwriteNone)
    with SessionLogic(editor, settings) as logic:
        grid = Lattice(editor.sourceImage(), segmentation).grid
        drawnOn = {}  # segments by axis, both in the order of drawing, as in `mem3d batch`
        for named, path in interactions:
            editor.select(named.segment)
            for drawn in interactionsOf(readMarkups(scene, path), grid, named):
                logic.interact(drawn.kind, drawn.pointsRas, axis=drawn.axis, negative=drawn.negative)
                drawnOn.setdefault(logic.state().axis, {})[named.segment] = True
        empty = set(names).difference(*drawnOn.values())
        if empty:
            raise UserError("The markups of %s hold no points. Place some, or remove the file." % ", ".join(empty))
        for axis, segments in drawnOn.items():
            for name in segments:
                editor.select(name)
                logic.propagate(axis=axis)
        for name in names:
            editor.select(name)
            logic.apply()
    write(segmentation, resultPath)
    return len(names)


def write(segmentation, path):
    """Writes the file as a whole: one that is there stays until then."""
    unfinished = path.with_name(".%s.%d.seg.nrrd" % (path.name[: -len(".seg.nrrd")], os.getpid()))
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(unfinished))
    storage.UseCompressionOn()
    try:
        # The last bytes of a file are written when it is closed, which Slicer does not check.
        if not storage.WriteData(segmentation) or not gzip.decompress(unfinished.read_bytes().partition(b"\n\n")[2]):
            raise OSError("Slicer's file is not whole")
        os.replace(unfinished, path)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            "%s cannot be written (%s). Is the folder writable, and the disk not full?" % (path, error)
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def main(arguments):
    force = "--force" in arguments
    arguments = [argument for argument in arguments if argument != "--force"]
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    scene = getattr(slicer, "mrmlScene", None)
    if scene is None:  # slicer-core without Slicer: the logic knows how segments are kept
        scene = slicer.mrmlScene = slicer.vtkMRMLScene()
        logic = slicer.vtkSlicerSegmentationsModuleLogic()
        logic.SetMRMLScene(scene)
    settings = Settings.forScripts()
    results = Path(arguments[1])
    results.mkdir(parents=True, exist_ok=True)
    failed = 0
    for case, volumePath, interactions in cases(arguments[0]):
        startedAt = time.monotonic()
        result = results / (case + ".seg.nrrd")
        if result.exists() and not force:
            print("%s: kept, as %s is there (--force makes it again)" % (case, result), flush=True)
            continue
        scene.Clear(False)
        try:
            count = segment(scene, settings, volumePath, interactions, result)
            print("%s: %d segments, %.1f s" % (case, count, time.monotonic() - startedAt), flush=True)
        except (UserError, Error) as error:
            failed += 1
            print("%s: %s" % (case, error), file=sys.stderr, flush=True)
    return min(failed, 125)


if __name__ == "__main__":
    code = 1
    try:
        code = main(sys.argv[1:])
    except Exception:  # noqa: BLE001 - Slicer would stay open, waiting for a user
        traceback.print_exc()
    if hasattr(slicer, "app"):
        slicer.util.exit(code)
    else:
        sys.exit(code)
