"""How Slicer's main thread fares: how long it cannot react, stroke to preview, writing into a large segmentation.

    python tools/slicer/bench.py [inProcess|helper]

As in Slicer's desktop, the main thread keeps the interpreter lock between two calls of the effect's timer. Uses random
weights unless MEM3D_MODEL names a model ("": the shipped one); prints one line a measurement.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "python" / "support"))

import headless
import numpy as np
from checkout import builtLibrary

headless.start()
os.environ.setdefault("MEM3D_LIBRARY", str(builtLibrary()))

import slicer_app

slicer_app.completeApplication()

import desktop
import slicer
from Mem3DLib import Segments
from Mem3DLib.Editors import LogicEditor
from Mem3DLib.Regions import Region
from Mem3DLib.SegmentEditorMem3D import SegmentEditorMem3DEffect
from Mem3DLib.Settings import Settings
from Mem3DTesting import addSegmentation, addVolume, ijkToRas, setVoxels


def volume(shape):
    z, y, x = np.ogrid[tuple(slice(-n // 2, n - n // 2) for n in shape)]
    inside = (x / 60) ** 2 + (y / 50) ** 2 + (z / 40) ** 2 < 1
    return np.where(inside, 300, 0).astype(np.int16), inside


def main(mode):
    shape = (200, 512, 512)
    array, inside = volume(shape)
    slicer.mrmlScene.Clear()
    Settings(modelPath=os.environ.get("MEM3D_MODEL", "random:1"), mode=mode).save(slicer.app.userSettings())
    node = addVolume(array, ijkToRas())
    segmentation = addSegmentation(node, ("a", "b"))
    editor = LogicEditor.create(node, segmentation, "a")
    effect = SegmentEditorMem3DEffect(slicer_app.ScriptedEffect(editor))
    effect.setMRMLDefaults()
    effect.setupOptionsFrame()
    effect.activate()
    effect.updateGUIFromMRML()
    lattice = Segments.Lattice(editor.sourceImage(), segmentation)
    stroke = lattice.grid.indexToRas([[100, 240, 230], [100, 256, 256], [100, 270, 280]])
    plane = np.eye(4)

    def timed(action):
        startedAt, usedBefore = time.perf_counter(), time.thread_time()
        action()
        called = time.perf_counter() - startedAt
        _, worst = desktop.runUnderOneLock(effect, lambda: not effect.logic.worker.busy, 600)
        whole, used = time.perf_counter() - startedAt, time.thread_time() - usedBefore
        return whole, max(called, worst), used

    print("mode %s, volume %s" % (mode, shape))
    print("model %s" % (Path(os.environ.get("MEM3D_MODEL", "random:1")).stem or "compact"))
    line = "%s: %.2f s; longest time without a reaction %.0f ms; %.0f ms of the main thread's processor time"
    whole, worst, used = timed(lambda: effect.interact(stroke, plane))
    print(line % ("first stroke, library, model and session included", whole, 1e3 * worst, 1e3 * used))
    for _ in range(3):
        whole, worst, used = timed(lambda: effect.interact(stroke, plane))
        print(line % ("stroke to preview", whole, 1e3 * worst, 1e3 * used))
    effect.logic.reset()
    effect.logic.worker.wait()
    state = effect.logic.state()
    keeper = effect.logic._keeper
    keeper.call("setSliceMask", state.number, 0, 100, inside[100])
    for _ in range(3):
        whole, worst, used = timed(lambda: effect.propagate(0, 90, 110))
        print(line % ("propagation through 20 slices", whole, 1e3 * worst, 1e3 * used))
    effect.cleanup()

    result = Region.fromMask(inside.astype(np.uint8))
    setVoxels(segmentation, "b", node, np.roll(inside, 60, axis=2))  # a neighbour that overlaps: it keeps what it has
    editor.logic.SetMaximumNumberOfUndoStates(10)
    empty = Region(shape)
    # To remove voxels, Slicer goes over their box more often than to add them: not one number for both.
    writing, removing = [], []
    written = Region.fromMask((inside & ~np.roll(inside, 60, axis=2)).astype(np.uint8))
    for before, after, times in ((empty, result, writing), (written, empty, removing)) * 5:
        startedAt, usedBefore = time.perf_counter(), time.process_time()
        Segments.writeSegment(editor, "a", lattice, before, after, takeFromOthers=False)
        times.append((time.perf_counter() - startedAt, time.process_time() - usedBefore))
    for what, times in (("writing a result (aim: 20)", writing), ("removing it", removing)):
        # Processor time, too: on a busy computer elapsed time is not reliable.
        elapsed, used = (1e3 * sorted(column)[len(times) // 2] for column in zip(*times, strict=True))
        print("%s, %d voxels: %.0f ms; of the processor %.0f ms" % (what, inside.sum(), elapsed, used))
    editor.node().SetOverwriteMode(editor.node().OverwriteNone)
    moved = Region.fromMask(np.roll(inside, 1, axis=0).astype(np.uint8))
    Segments.writeSegment(editor, "a", lattice, empty, result)
    startedAt = time.perf_counter()
    Segments.writeSegment(editor, "a", lattice, result, moved)
    print("writing a correction of it: %.0f ms" % (1e3 * (time.perf_counter() - startedAt)))
    slice_ = result.withSlice(0, 100, np.zeros(shape[1:], np.uint8))
    Segments.writeSegment(editor, "a", lattice, moved, result)
    startedAt = time.perf_counter()
    Segments.writeSegment(editor, "a", lattice, result, slice_)
    print("writing one slice of it: %.0f ms" % (1e3 * (time.perf_counter() - startedAt)))
    startedAt = time.perf_counter()
    Segments.readSegment(segmentation, "a", lattice)
    print("reading the segment: %.0f ms" % (1e3 * (time.perf_counter() - startedAt)))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "auto")
