"""The ctypes binding on a small volume: every method, every kind of failure, callbacks and threads."""

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from Mem3DLib import Native
from Mem3DLib.Native import AXIS_DEPTH, AXIS_HEIGHT, AXIS_WIDTH, BOX, CLICK, EXTREME_POINTS, SCRIBBLE

SHAPE = (12, 48, 40)
STROKE = [[6, 18, 14], [6, 24, 20], [6, 30, 26]]


def ball():
    z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
    return np.where(x * x + y * y + z * z < 144, 300, 0).astype(np.int16)


@pytest.fixture(scope="module")
def model(library):
    with library.randomModel(seed=1, device="cpu") as model:
        yield model


@pytest.fixture
def session(model):
    with model.openSession(ball(), spacingMm=(3, 1, 1)) as session:
        yield session


@pytest.fixture
def drawn(session):
    session.setSliceMask(1, AXIS_DEPTH, 6, ball()[6] > 0)
    return session


def test_versions_and_devices(library):
    assert library.version().count(".") == 2
    assert library.libtorchVersion().startswith("2.11.")
    assert library.devices()[0].id == "cpu"
    library.setThreadCount(1)
    assert library.threadCount() == 1
    library.setThreadCount(0)
    assert library.threadCount() >= 1


def test_model_info(model):
    info = model.info()
    assert info.preset == Native.PRESET_COMPACT and info.device == "cpu"
    assert SCRIBBLE in info.interactionKinds and info.networkSize % 16 == 0


def test_each_status_is_its_exception(library, model, session, tmp_path):
    with pytest.raises(Native.FileError, match="nowhere"):
        library.loadModel("nowhere/model.safetensors")
    text = tmp_path / "text.safetensors"
    text.write_text("not a model at all")
    with pytest.raises(Native.BadModelError):
        library.loadModel(text)
    with pytest.raises(Native.InvalidArgumentError, match="toaster"):
        library.randomModel(device="toaster")
    with pytest.raises(Native.UnsupportedError):
        library.randomModel(device="cuda:77")
    with pytest.raises(Native.InvalidStateError):
        session.propagate()
    with pytest.raises(Native.Error, match="no field thread_count"):
        model.openSession(ball(), thread_count=3)
    with pytest.raises(Native.InvalidArgumentError, match="keep_cuda_cache is 2"):
        model.openSession(ball(), keep_cuda_cache=2)


def test_masks_of_every_kind(session):
    mask = session.interact(1, AXIS_DEPTH, 6, SCRIBBLE, points=STROKE)
    assert mask.shape == (48, 40) and mask.dtype == np.uint8 and mask[24, 20] == 1
    session.interact(1, AXIS_DEPTH, 6, BOX, points=[[6, 12, 8], [6, 36, 32]])
    session.interact(1, AXIS_DEPTH, 6, EXTREME_POINTS, points=[[6, 12, 20], [6, 36, 20], [6, 24, 8], [6, 24, 32]])
    mask = session.interact(1, AXIS_DEPTH, 6, CLICK, points=[[6, 24, 20]], negative=True)
    assert mask[24, 20] == 0
    raster = np.zeros((12, 40), bool)
    raster[6, 20] = True
    assert session.interact(2, AXIS_HEIGHT, 24, SCRIBBLE, raster=raster)[6, 20] == 1
    assert session.segments() == [1, 2]
    with pytest.raises(Native.InvalidArgumentError, match="shape"):
        session.interact(2, AXIS_WIDTH, 20, SCRIBBLE, raster=raster)
    with pytest.raises(Native.InvalidArgumentError, match="depth, height, width"):
        session.interact(2, AXIS_WIDTH, 20, CLICK, points=[6, 24, 20])
    with pytest.raises(Native.InvalidArgumentError, match="interaction.points is NULL"):
        session.interact(2, AXIS_WIDTH, 20, CLICK)


def test_a_round(drawn):
    seen = []
    updated = drawn.propagate(segment=1, axis=AXIS_DEPTH, onSlice=lambda p: seen.append(p) or True)
    assert updated >= 1 and seen[0].done == 1 and seen[0].segment == 1
    assert drawn.annotatedSlices(1, AXIS_DEPTH) == [6] and drawn.annotatedSlices(1, AXIS_WIDTH) == []
    quality = drawn.readQuality(1, AXIS_DEPTH)
    assert quality.shape == (12,) and quality[6] == 1
    suggestion = drawn.suggestSlice()
    assert (suggestion.segment, suggestion.axis) == (1, AXIS_DEPTH) and suggestion.slice != 6
    assert suggestion.quality == quality[suggestion.slice]
    mask = drawn.readMask(1)
    assert mask.shape == SHAPE and (mask[6] == (ball()[6] > 0)).all()
    assert (mask == (drawn.readProbability(1) >= 0.5)).all()
    assert (drawn.readLabels() == mask).all()
    assert (drawn.readSliceMask(1, AXIS_WIDTH, 20) == mask[:, :, 20]).all()
    assert drawn.memoryUsage().volumeBytes == ball().nbytes
    low, high = drawn.window()
    assert low == 0 and high > low
    assert drawn.undo() and drawn.readMask(1)[5].sum() == 0
    assert drawn.redo() and not drawn.redo()
    assert (drawn.readMask(1) == mask).all()


def test_axes_are_those_of_numpy(session):
    for axis, count in enumerate(SHAPE):
        mask = np.zeros([side for k, side in enumerate(SHAPE) if k != axis], bool)
        mask[3:6, 3:6] = True
        session.setSliceMask(axis + 1, axis, 4, mask)
        assert (session.readMask(axis + 1).take(4, axis) == mask).all()
        assert session.readMask(axis + 1).sum() == 9
        assert session.annotatedSlices(axis + 1, axis) == [4]
        assert session.readQuality(axis + 1, axis).shape == (count,)
        session.propagate(axis + 1, axis)
        assert session.suggestSlice(axis + 1).axis == axis
    for axis in (-1, 3, None):
        with pytest.raises(Native.InvalidArgumentError, match="axis is %s" % axis):
            session.annotatedSlices(1, axis)


def test_refinement_can_be_disabled(model):
    def masks(**options):
        with model.openSession(ball(), spacingMm=(3, 1, 1), **options) as session:
            for number in (4, 8):
                session.setSliceMask(1, AXIS_DEPTH, number, ball()[number] > 0)
            session.propagate()
            return session.readMask(1)

    assert (masks(no_refinement=1) == masks(no_refinement=1)).all()
    assert (masks(no_refinement=1) != masks()).any()


def test_start_masks_acceptance_and_reset(session):
    start = ball() > 0
    session.setMask(3, start)
    session.accept(3, AXIS_DEPTH, 5)
    assert session.annotatedSlices(3, AXIS_DEPTH) == [5]
    assert (session.readMask(3) == start).all()
    session.reset(3)
    assert session.segments() == []


def test_save_and_restore(drawn, model, tmp_path):
    path = tmp_path / "saved \u00e9.m3s"
    before = drawn.readMask(1)
    drawn.save(path)
    drawn.reset()
    drawn.restore(path)
    assert (drawn.readMask(1) == before).all()
    with model.openSession(ball() + np.int16(1)) as other:
        with pytest.raises(Native.InvalidArgumentError, match="another volume"):
            other.restore(path)


def test_callbacks_stop_and_raise(drawn):
    before = drawn.readMask(1)
    with pytest.raises(Native.CancelledError):
        drawn.propagate(onSlice=lambda progress: False)
    with pytest.raises(ZeroDivisionError):
        drawn.propagate(onSlice=lambda progress: 1 / 0)
    with pytest.raises(Native.BusyError):
        drawn.propagate(onSlice=lambda progress: drawn.undo())
    assert (drawn.readMask(1) == before).all()


def test_cancel_and_busy_from_another_thread(drawn):
    inside, release, result = threading.Event(), threading.Event(), []

    def wait(progress):
        inside.set()
        return release.wait(30)

    def work():
        try:
            drawn.propagate(onSlice=wait)
        except Native.Error as error:
            result.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert inside.wait(60)
    assert drawn.segments() == [1]  # what was committed last can be read meanwhile
    with pytest.raises(Native.BusyError):
        drawn.memoryUsage()
    drawn.cancel()
    release.set()
    worker.join()
    assert isinstance(result[0], Native.CancelledError)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([2], 2), ([0], 0), ([3, 1], 3), ([70], 70), ([70, 80, 75], 75), ([70, 80, 90], 90), ([70, 90, 100, 120], 120)],
)
def test_lists_that_another_thread_changes_between_two_calls(counts, expected):
    counts = list(counts)

    def get(values, capacity, count):
        there = counts.pop(0) if len(counts) > 1 else counts[0]
        if values is not None:
            if capacity < there:
                raise Native.InvalidArgumentError("no room")
            values[:there] = range(there)
        count._obj.value = there

    assert Native.c.listOf(get) == list(range(expected))


def test_many_segments_are_listed(session):
    numbers = list(range(1, 81))
    for number in numbers:
        session.setMask(number, np.zeros(SHAPE, np.uint8))
    assert session.segments() == numbers


def test_freeing_a_session_cancels_the_call_on_it(model):
    session = model.openSession(ball())
    session.setSliceMask(1, AXIS_DEPTH, 5, ball()[5] > 0)
    with pytest.raises(Native.CancelledError):
        session.propagate(onSlice=lambda progress: session.free() or True)
    with pytest.raises(Native.InvalidArgumentError, match="session is NULL"):
        session.segments()


def test_the_interpreter_goes_on_during_a_call(model):
    volume = np.zeros((40, 256, 256), np.uint8)
    volume[:, 64:192, 64:192] = 200
    ticks = []
    with model.openSession(volume) as session:
        session.setSliceMask(1, AXIS_DEPTH, 20, volume[20] > 0)
        worker = threading.Thread(target=session.propagate)
        worker.start()
        while worker.is_alive():
            ticks.append(time.monotonic())
            time.sleep(0.001)
    assert len(ticks) > 10


@pytest.mark.parametrize("dtype", sorted(Native.SCALAR_TYPES))
def test_every_scalar_type_and_order(model, dtype):
    volume = (np.arange(8 * 16 * 24) % 100).reshape(8, 16, 24).astype(dtype)
    strided, swapped = volume[::-1, ::2, ::-1][:, :, ::-1], volume.astype(volume.dtype.newbyteorder())
    views = [volume, np.asfortranarray(volume), strided, swapped]
    for view in views:
        with model.openSession(view) as session:
            low, high = session.window()
            assert session.shape == view.shape and 0 <= low < 5 and 94 < high < 100


def test_volumes_that_cannot_be_used(model):
    with pytest.raises(Native.InvalidArgumentError, match="dimensions"):
        model.openSession(np.zeros((3, 3)))
    with pytest.raises(Native.InvalidArgumentError, match="int64"):
        model.openSession(np.zeros((3, 3, 3), np.int64))
    with pytest.raises(Native.InvalidArgumentError, match="every side"):
        model.openSession(np.zeros((0, 3, 3), np.uint8))
    bad = np.ones((4, 8, 8), np.float32)
    bad[1, 2, 3] = np.nan
    with pytest.raises(Native.InvalidArgumentError):
        model.openSession(bad)
    with pytest.raises(Native.InvalidArgumentError, match="spacing"):
        model.openSession(ball(), spacingMm=(0, 1, 1))


def test_positions_in_mm_are_converted(model):
    direction = [[0, 0, -1], [0, 1, 0], [-1, 0, 0]]  # depth downwards, width to the right
    with model.openSession(ball(), spacingMm=(3, 1, 1), originMm=(1, 2, 3), direction=direction) as session:
        assert np.allclose(session.index([1 - 20, 2 + 24, 3 - 3 * 6]), [6, 24, 20])
        byIndex = session.interact(1, AXIS_DEPTH, 6, CLICK, points=[[6, 24, 20]])
        byPosition = session.interact(2, AXIS_DEPTH, 0, CLICK, points=[[1 - 20, 2 + 24, 3 - 3 * 6]], lpsMm=True)
        assert (byIndex == byPosition).all() and byIndex[24, 20] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_gets_an_error(library, model):
    library.setThreadCount(2)
    with model.openSession(ball()):
        pass
    child = os.fork()
    if child == 0:
        try:
            model.openSession(ball())
            os._exit(1)
        except Native.InvalidStateError as error:
            os._exit(0 if "spawn" in str(error) else 2)
        except BaseException:  # noqa: BLE001 - this process must not go on with the tests
            os._exit(3)
    assert os.waitpid(child, 0)[1] == 0
    library.setThreadCount(0)


def test_a_removed_current_folder_is_an_error(library, tmp_path):
    script = """if True:
        import os, sys
        from Mem3DLib import Native
        library = Native.Library(sys.argv[1])
        os.rmdir(os.getcwd())
        try:
            library.randomModel(seed=1, device="cpu")
        except Native.InvalidStateError as error:
            print(error)
    """
    folder = tmp_path / "gone"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", script, str(library.path)]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "current folder of this process was removed" in done.stdout, done.stderr


def test_names_that_are_no_text(drawn, tmp_path):
    name = os.fsencode(tmp_path) + b"/a\xff.m3s"
    drawn.save(os.fsdecode(name))
    assert os.path.exists(name)
    drawn.restore(os.fsdecode(name))
    with pytest.raises(Native.InvalidArgumentError, match="NUL"):
        drawn.save(str(tmp_path / "b") + "\0c")
    assert not (tmp_path / "b").exists()


def test_freed_handles_are_refused(library, model):
    session = model.openSession(ball())
    session.free()
    session.free()
    with pytest.raises(Native.InvalidArgumentError, match="session is NULL"):
        session.segments()
    own = library.randomModel(seed=3, device="cpu")
    session = own.openSession(ball())
    own.free()
    del own
    gc.collect()
    session.interact(1, AXIS_DEPTH, 6, SCRIBBLE, points=STROKE)
    session.free()


def test_log_callbacks_may_raise(library):
    library.setLogCallback(lambda level, text: 1 / 0, Native.LOG_TRACE)
    library.randomModel(seed=2, device="cpu").free()
    library.setLogCallback(None)
    with pytest.raises(Native.InvalidArgumentError, match="max_level"):
        library.setLogCallback(None, 9)


def test_a_missing_or_foreign_library_has_its_message(tmp_path):
    with pytest.raises(Native.LibraryNotFoundError, match="MEM3D_LIBRARY"):
        Native.Library(tmp_path / "libmem3d.so")
    text = tmp_path / "libmem3d.so"
    text.write_text("not a library")
    with pytest.raises(Native.LibraryNotFoundError, match="cannot be loaded"):
        Native.Library(text)


def test_the_example_runs(library):
    example = Path(__file__).parents[2] / "examples" / "python" / "hello.py"
    environment = dict(os.environ, MEM3D_LIBRARY=str(library.path))
    done = subprocess.run([sys.executable, example], env=environment, capture_output=True, text=True, check=True)
    assert "slices updated" in done.stdout


def test_on_windows_libtorch_is_searched_from_the_library(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    for folder in ("mem3d/_native", "torch/lib"):
        (site / folder).mkdir(parents=True)
    asked = []
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "add_dll_directory", asked.append, raising=False)
    monkeypatch.setattr(Native.ctypes, "CDLL", lambda path: asked.append(path))
    library = str(site / "mem3d" / "_native" / "mem3d.dll")
    Native.c.load(library)
    assert asked == [str(site / "torch" / "lib"), library]
    monkeypatch.setattr(sys, "platform", "linux")
    Native.c.load(library)
    assert asked[2:] == [library]
