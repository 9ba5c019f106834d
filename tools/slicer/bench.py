"""How Slicer's main thread fares: gaps while propagating, stroke to preview, writing into a large segmentation.

    python tools/slicer/bench.py [inProcess|helper]

Uses random weights unless MEM3D_MODEL names a model; prints one line a measurement.
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

import slicer
from Mem3DLib import Segments
from Mem3DLib.Editors import LogicEditor
from Mem3DLib.Regions import Region
from Mem3DLib.SegmentEditorMem3D import SegmentEditorMem3DEffect
from Mem3DLib.Settings import Settings
from Mem3DTesting import addSegmentation, addVolume, ijkToRas, setVoxels
from PySide6 import QtCore


def volume(shape):
    z, y, x = np.ogrid[tuple(slice(-n // 2, n - n // 2) for n in shape)]
    inside = (x / 60) ** 2 + (y / 50) ** 2 + (z / 40) ** 2 < 1
    return np.where(inside, 300, 0).astype(np.int16), inside


class Gaps:
    """The longest time in which the event loop could do nothing."""

    def __init__(self):
        self.worst, self._last, self._timer = 0.0, time.perf_counter(), QtCore.QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(1)

    def _tick(self):
        now = time.perf_counter()
        self.worst, self._last = max(self.worst, now - self._last), now


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
        gaps, startedAt = Gaps(), time.perf_counter()
        action()
        called = time.perf_counter() - startedAt
        slicer_app.processEvents(lambda: not effect.logic.worker.busy, 600)
        return called, time.perf_counter() - startedAt, gaps.worst

    print("mode %s, volume %s" % (mode, shape))
    print("model %s" % Path(os.environ.get("MEM3D_MODEL", "random:1")).stem)
    called, whole, _ = timed(lambda: effect.interact(stroke, plane))
    print("first stroke, library, model and session included: %.2f s (main thread %.0f ms)" % (whole, 1e3 * called))
    called, whole, worst = timed(lambda: effect.interact(stroke, plane))
    print("stroke to preview: %.0f ms; longest gap %.0f ms" % (1e3 * whole, 1e3 * worst))
    effect.logic.reset()
    effect.logic.worker.wait()
    state = effect.logic.state()
    keeper = effect.logic._keeper
    keeper.call("setSliceMask", state.number, 0, 100, inside[100])
    called, whole, worst = timed(lambda: effect.propagate(0, 90, 110))
    gap = "longest gap of the main thread %.0f ms (aim: 50)" % (1e3 * worst)
    print("propagation through 20 slices: %.2f s; %s" % (whole, gap))
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
        # Processor time, too: on a busy computer the elapsed time says little.
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
