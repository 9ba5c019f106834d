"""The engine behind one interface, in this process and in a helper process, and the worker: without Slicer."""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from Mem3DLib import Engine as EngineModule
from Mem3DLib import Native
from Mem3DLib.Channel import Channel, SharedFile, openShared
from Mem3DLib.Engine import Engine
from Mem3DLib.Errors import HelperDiedError, UserError
from Mem3DLib.Gesture import Gesture
from Mem3DLib.HelperEngine import HelperEngine
from Mem3DLib.Native import AXIS_DEPTH, BOX, CLICK, EXTREME_POINTS, SCRIBBLE
from Mem3DLib.Regions import Region, bounds
from Mem3DLib.SessionKeeper import SessionKeeper
from Mem3DLib.Settings import Settings
from Mem3DLib.Worker import InlineWorker, Worker

MODULE = Path(__file__).parents[2] / "slicer-module" / "Mem3D"
SHAPE = (12, 48, 40)
STROKE = np.array([[6, 18, 14], [6, 24, 20], [6, 30, 26]], float)
GEOMETRY = {"spacingMm": (3, 1, 1), "originMm": (0, 0, 0), "direction": np.eye(3)}


def ball():
    z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
    return np.where(x * x + y * y + z * z < 144, 300, 0).astype(np.int16)


@pytest.fixture
def settings(library):
    return Settings(modelPath="random:1", libraryPath=library.path, device="cpu", threads=1)


@pytest.fixture(params=[Engine, HelperEngine])
def engine(request, settings):
    engine = request.param()
    engine.start(settings)
    engine.openSession(ball(), GEOMETRY, settings.sessionOptions())
    yield engine
    engine.close()


# ---- both engines ----


def test_both_engines_give_the_same(settings):
    results = []
    for made in (Engine(), HelperEngine()):
        info = made.start(settings)
        assert info["libtorch"] == made.start(settings)["libtorch"] and info["device"] == "cpu"
        assert info["helper"] is made.isHelper
        made.openSession(ball(), GEOMETRY, settings.sessionOptions())
        mask = made.call("interact", 1, AXIS_DEPTH, 6, SCRIBBLE, points=STROKE)
        count = made.call("propagate", 1, AXIS_DEPTH)
        results.append((mask, count, made.call("readMask", 1), made.call("readQuality", 1, AXIS_DEPTH)))
        made.close()
    for here, there in zip(*results, strict=True):
        assert np.array_equal(here, there)


def test_masks_and_probabilities_of_any_size(engine):
    start = (ball() > 0).astype(np.uint8)
    engine.call("setMask", 1, start)
    assert (engine.call("readMask", 1) == start).all()
    probability = engine.call("readProbability", 1)
    assert probability.dtype == np.float32 and ((probability >= 0.5) == start).all()
    big = np.zeros((70, 64, 80), np.float64)  # 2.9 MB: through the shared buffer, and the volume through its own file
    engine.openSession(big + np.arange(80), GEOMETRY, {})
    mask = np.arange(big.size).reshape(big.shape) % 7 == 0
    engine.call("setMask", 3, mask)
    assert (engine.call("readMask", 3) == mask).all()
    assert engine.call("segments") == [3]


def test_errors_are_those_of_the_library(engine):
    with pytest.raises(Native.InvalidArgumentError, match="slice"):
        engine.call("interact", 1, AXIS_DEPTH, 99, CLICK, points=STROKE[:1])
    with pytest.raises(Native.InvalidStateError):
        engine.call("propagate")
    with pytest.raises(Native.InvalidArgumentError, match="no method"):
        engine.call("free")
    assert engine.call("segments") == []


def test_progress_cancelling_and_raising(engine):
    engine.call("setSliceMask", 1, AXIS_DEPTH, 6, ball()[6] > 0)
    before = engine.call("readMask", 1)
    seen = []
    engine.call("propagate", 1, AXIS_DEPTH, onSlice=lambda p: seen.append(p) or True)
    assert seen[0].done == 1 and isinstance(seen[0], Native.Progress)
    engine.call("undo")
    with pytest.raises(Native.CancelledError):
        engine.call("propagate", 1, AXIS_DEPTH, onSlice=lambda p: False)
    with pytest.raises(ZeroDivisionError):
        engine.call("propagate", 1, AXIS_DEPTH, onSlice=lambda p: 1 / 0)
    assert (engine.call("readMask", 1) == before).all()


def test_start_reports_what_is_wrong(settings, monkeypatch):
    for made in (Engine(), HelperEngine()):
        with pytest.raises(UserError, match="There is no model file"):
            made.start(settings.__class__(modelPath="nowhere.safetensors", libraryPath=settings.libraryPath))
        made.close()
    monkeypatch.setenv("MEM3D_LIBRARY", "nowhere/libmem3d.so")
    for made in (Engine(), HelperEngine()):
        with pytest.raises(Native.LibraryNotFoundError, match="nowhere/libmem3d.so"):
            made.start(settings)
        made.close()


# ---- the helper process ----


def test_the_helper_ends_with_its_parent(settings):
    engine = HelperEngine()
    engine.start(settings)
    process = engine._process
    engine.close()
    assert process.returncode == 0 and engine.processId is None
    with pytest.raises(Native.InvalidStateError):
        engine.call("segments")


def test_a_helper_that_cannot_start():
    with pytest.raises(UserError, match="cannot be started"):
        HelperEngine(["nowhere/python"]).start(Settings(modelPath="random:1"))
    broken = HelperEngine([sys.executable, "-c", "import sys; sys.exit('out of luck')"])
    with pytest.raises(HelperDiedError, match="out of luck"):
        broken.start(Settings(modelPath="random:1"))


def test_threads_of_the_helper_soon_wait_asleep_unless_told_otherwise(monkeypatch):
    tell = "import os, sys; sys.exit('spins ' + os.environ.get('GOMP_SPINCOUNT', 'as it likes'))"
    for given, expected in ({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "as it likes"):
        for name in "GOMP_SPINCOUNT", "OMP_WAIT_POLICY":
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(HelperDiedError, match="spins " + expected):
            HelperEngine([sys.executable, "-c", tell]).start(Settings(modelPath="random:1"))


def test_what_libraries_print_does_not_disturb(settings, tmp_path):
    noisy = tmp_path / "noisy.py"
    helper = MODULE / "Mem3DLib" / "Helper.py"
    noisy.write_text(
        "import os, runpy, sys\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, %r)\n"
        "from Mem3DLib import Engine\n"
        "start = Engine.Engine.start\n"
        "def loud(*a):\n    os.write(1, b'hello'); print('hello', flush=True); return start(*a)\n"
        "Engine.Engine.start = loud\n"
        "runpy.run_path(%r, run_name='__main__')\n" % (str(MODULE), str(helper))
    )
    engine = HelperEngine([sys.executable, str(noisy)])
    assert engine.start(settings)["helper"]
    engine.close()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_helper_comes_back_with_its_session(settings):
    keeper = SessionKeeper(settings._replace(mode="helper"))
    keeper.open(ball(), GEOMETRY)
    keeper.call("interact", 1, AXIS_DEPTH, 6, SCRIBBLE, points=STROKE)
    keeper.call("propagate", 1, AXIS_DEPTH)  # a snapshot
    keeper.call("setSliceMask", 2, AXIS_DEPTH, 3, ball()[3] > 0)  # only in the journal
    keeper.call("undo")
    keeper.call("redo")
    masks = [keeper.call("readMask", n) for n in (1, 2)]
    for _ in range(2):
        os.kill(keeper._engine.processId, 9)
        with pytest.raises(HelperDiedError, match="SIGKILL.*memory"):
            keeper.call("interact", 1, AXIS_DEPTH, 8, SCRIBBLE, points=STROKE + (2, 0, 0))
        for number, mask in zip((1, 2), masks, strict=True):
            assert (keeper.call("readMask", number) == mask).all()
        assert keeper.call("annotatedSlices", 1, AXIS_DEPTH) == [6]
    assert keeper.call("undo") and keeper.call("segments") == [1]  # its history, too
    keeper.close()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_helper_killed_in_the_middle_of_a_propagation(settings):
    keeper = SessionKeeper(settings._replace(mode="helper"))
    keeper.open(ball(), GEOMETRY)
    keeper.call("setSliceMask", 1, AXIS_DEPTH, 6, ball()[6] > 0)
    with pytest.raises(HelperDiedError):
        keeper.call("propagate", 1, AXIS_DEPTH, onSlice=lambda p: os.kill(keeper._engine.processId, 9) or True)
    assert (keeper.call("readMask", 1)[6] == (ball()[6] > 0)).all()
    assert keeper.call("propagate", 1, AXIS_DEPTH) > 0
    keeper.close()


def test_nothing_is_left_behind(settings):
    folders = [Path(tempfile.gettempdir()), Path("/dev/shm")]

    def ours():
        return {p for f in folders if f.is_dir() for p in f.glob("mem3d-*")}

    before = ours()
    keeper = SessionKeeper(settings._replace(mode="helper"))
    keeper.open(ball(), GEOMETRY)
    keeper.call("setSliceMask", 1, AXIS_DEPTH, 6, ball()[6] > 0)
    keeper.call("propagate", 1, AXIS_DEPTH)
    keeper.close()
    assert ours() <= before


def test_channel_packs_one_large_array_into_the_buffer():
    left, right = os.pipe()
    with os.fdopen(left, "rb") as reader, os.fdopen(right, "wb") as writer:
        channel = Channel(reader, writer)
        file = SharedFile(1 << 20)
        channel.buffer = file.bytes
        large = np.arange(1 << 15, dtype=np.float64)[::2].reshape(128, 128)  # not contiguous
        sender = threading.Thread(target=channel.send, args=(("a", (1, large), {"b": large[:2]}),))
        sender.start()
        name, (one, got), named = channel.receive()
        sender.join()
        assert (name, one) == ("a", 1) and (got == large).all() and (named["b"] == large[:2]).all()
        assert (openShared(file.path)[: large.nbytes].view(np.float64).reshape(large.shape) == large).all()
        file.discard()


# ---- where the engine runs ----


def test_libtorch_version_is_the_librarys(library):
    assert library.libtorchVersion() == EngineModule.LIBTORCH_VERSION


@pytest.mark.parametrize(
    ("version", "mode", "helper"),
    [
        (None, "auto", False),
        ("2.11.0", "auto", False),
        ("2.11.0+cu130", "auto", False),
        ("2.15.0", "auto", True),
        ("unknown", "auto", True),
        ("2.15.0", "inProcess", False),
        (None, "helper", True),
    ],
)
def test_where_the_engine_runs(monkeypatch, version, mode, helper):
    monkeypatch.setattr(EngineModule, "installedTorchVersion", lambda: version)
    assert EngineModule.makeEngine(Settings(mode=mode)).isHelper is helper


def test_an_imported_torch_counts(monkeypatch):
    class Torch:
        __version__ = "2.15.0+cpu"

    monkeypatch.setitem(sys.modules, "torch", Torch)
    assert EngineModule.installedTorchVersion() == "2.15.0+cpu"


# ---- the worker ----


def test_worker_runs_in_order_on_one_thread_and_delivers_on_ours():
    worker, order, threads = Worker(), [], set()
    busy = []
    worker.onBusyChanged = busy.append
    for n in range(5):
        worker.run(lambda job, n=n: threads.add(threading.get_ident()) or n, order.append)
    assert order == [] and worker.busy
    assert worker.wait(10) and order == [0, 1, 2, 3, 4]
    assert len(threads) == 1 and threading.get_ident() not in threads
    assert busy == [True, False]
    errors = []
    worker.run(lambda job: 1 / 0, onError=errors.append)
    worker.wait(10)
    assert isinstance(errors[0], ZeroDivisionError)
    assert worker.close() and not worker.busy


def test_worker_cancels_and_reports():
    worker, seen, results = Worker(), [], []

    def work(job):
        n = 0
        while job.report(n):
            n += 1
            time.sleep(0.001)
        return n

    worker.run(work, results.append, onProgress=seen.append)
    while not seen:
        worker.poll()
    worker.cancel()
    assert worker.wait(10) and results[0] >= seen[-1] >= 0
    worker.run(work)
    assert worker.close()  # cancels what runs


def test_inline_worker_does_it_at_once():
    worker, seen = InlineWorker(), []
    worker.run(lambda job: job.report(1) and 5, seen.append, onProgress=seen.append)
    assert seen == [1, 5]
    with pytest.raises(ZeroDivisionError):
        worker.run(lambda job: 1 / 0)


# ---- regions and gestures ----


def test_regions():
    mask = np.zeros((5, 6, 7), np.uint8)
    assert bounds(mask) is None and Region.fromMask(mask).isEmpty() and Region.fromMask(mask).checksum() == 0
    mask[1:3, 2, 4:6] = 7
    region = Region.fromMask(mask)
    assert region.box == ((1, 3), (2, 3), (4, 6)) and (region.full() == (mask != 0)).all()
    assert (region.slice(1, 2) == (mask[:, 2] != 0)).all() and not region.slice(1, 3).any()
    assert [region.slicesHeld(axis) for axis in range(3)] == [[1, 2], [2], [4, 5]]
    assert Region((5, 6, 7)).slicesHeld(0) == []
    plane = np.zeros((5, 7), np.uint8)
    plane[4, 0] = 1
    changed = region.withSlice(1, 2, plane)
    expected = np.zeros_like(mask)
    expected[4, 2, 0] = 1
    assert (changed.full() == expected).all()
    box, added, removed = region.changesTo(changed)
    assert box == ((1, 5), (2, 3), (0, 6)) and added.sum() == 1 and removed.sum() == 4
    assert region.changesTo(Region.fromMask(mask)) is None
    assert (region.withChanges(box, added, removed).full() == expected).all()
    padded = Region((5, 6, 7), ((0, 5), (0, 6), (0, 7)), region.full())
    assert padded.checksum() == region.checksum() != changed.checksum()
    moved = Region.fromMask(np.ones((2, 2, 2), np.uint8), (-1, 5, 6), (5, 6, 7))
    assert moved.box == ((0, 1), (5, 6), (6, 7))
    assert (region.withSlice(0, 1, np.zeros((6, 7))).full()[1] == 0).all()


def test_gestures():
    view, plane = object(), 1
    gesture = Gesture(SCRIBBLE)
    gesture.press(view, plane, (0, 0), (0, 0, 0))
    gesture.move((5, 5), (1, 1, 0))
    assert gesture.release((5, 5), (1, 1, 0)) == [(0, 0, 0), (1, 1, 0)]
    gesture.setKind(BOX)
    gesture.press(view, plane, (0, 0), (0, 0, 0))
    assert gesture.release((1, 1), (0, 0, 0)) is None  # a click makes no box
    gesture.press(view, plane, (0, 0), (0, 0, 0))
    gesture.move((9, 9), (2, 2, 0))
    assert gesture.points == [(0, 0, 0), (2, 2, 0)]
    assert gesture.release((9, 8), (2, 1, 0)) == [(0, 0, 0), (2, 1, 0)]
    gesture.setKind(EXTREME_POINTS)
    for n in range(3):
        gesture.press(view, plane, (n, 0), (n, 0, 0))
        assert gesture.release((n, 0), (n, 0, 0)) is None
    gesture.press(view, plane + 1, (3, 0), (3, 0, 0))  # another slice: from the start
    assert gesture.release((3, 0), (3, 0, 0)) is None and len(gesture.points) == 1
    gesture.setKind(CLICK)
    assert gesture.points == []
    gesture.press(view, plane, (0, 0), (0, 0, 0))
    assert gesture.release((9, 9), (1, 1, 0)) is None  # a drag is no click
    gesture.press(view, plane, (0, 0), (4, 4, 0))
    assert gesture.release((1, 0), (4, 4, 0)) == [(4, 4, 0)]
