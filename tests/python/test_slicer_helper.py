"""What happens to a session when its helper process ends, and to the files shared with that process."""

import os
import tempfile

import numpy as np
import pytest
from Mem3DLib import Native
from Mem3DLib.Channel import Channel, SharedFile
from Mem3DLib.Errors import HelperDiedError, UserError
from Mem3DLib.HelperEngine import HelperEngine
from Mem3DLib.SessionKeeper import SessionKeeper
from Mem3DLib.Settings import Settings

GEOMETRY = {"spacingMm": (3, 1, 1), "originMm": (0, 0, 0), "direction": np.eye(3)}
VOLUME = np.zeros((3, 4, 5), np.int16)


class FailingEngine:
    """Stands for a helper process. What `failures` has for a method is raised by its next call; HelperDiedError ends
    the process."""

    isHelper = True

    def __init__(self):
        self.failures, self.done = {}, None

    def _fail(self, name):
        error = self.failures.pop(name, None)
        if error is not None:
            if isinstance(error, HelperDiedError):
                self.done = None
            raise error

    def start(self, settings):
        self.done = None
        return {}

    def openSession(self, volume, geometry, options):
        self._fail("openSession")
        self.done = []

    def call(self, name, *arguments, onSlice=None, **named):
        self._fail(name)
        if self.done is None:
            raise Native.InvalidStateError("no session is open")
        self.done.append(name)
        return list(self.done)

    def close(self):
        pass


@pytest.mark.parametrize(
    "failures",
    [
        {"openSession": Native.NoMemoryError("no memory")},
        {"openSession": UserError("no room")},
        {"restore": Native.FileError("no file")},
        {"accept": Native.NoMemoryError("no memory")},
        {"restore": KeyboardInterrupt()},
    ],
)
def test_a_session_that_cannot_be_restored_at_once_is_restored_later(failures):
    engine = FailingEngine()
    keeper = SessionKeeper(Settings(), lambda *arguments: engine)
    keeper.open(VOLUME, GEOMETRY)
    keeper.call("interact")
    keeper.call("propagate")  # a snapshot
    keeper.call("accept")  # only in the journal
    engine.failures["undo"] = HelperDiedError("the process ended")
    with pytest.raises(HelperDiedError):
        keeper.call("undo")
    engine.failures.update(failures)
    with pytest.raises(type(*failures.values())):
        keeper.call("segments")
    assert keeper.call("segments") == ["restore", "accept", "segments"]


def test_a_snapshot_without_room_fails_no_propagation(monkeypatch):
    def full(**named):
        raise OSError(28, "No space left on device")

    engine = FailingEngine()
    keeper = SessionKeeper(Settings(), lambda *arguments: engine)
    keeper.open(VOLUME, GEOMETRY)
    monkeypatch.setattr("Mem3DLib.SessionKeeper.tempfile.mkstemp", full)
    assert keeper.call("propagate") == ["propagate"]
    engine.failures["undo"] = HelperDiedError("the process ended")
    with pytest.raises(HelperDiedError):
        keeper.call("undo")
    assert keeper.call("segments") == ["propagate", "segments"]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="only this call asks for room")
def test_shared_memory_without_room_states_what_to_do(monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    made, mkstemp = [], tempfile.mkstemp
    monkeypatch.setattr(tempfile, "mkstemp", lambda **named: made.append(mkstemp(**named)) or made[-1])
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="No space left.* Free space in " + tempfile.gettempdir()) as raised:
        HelperEngine().openSession(VOLUME, GEOMETRY, {})
    assert isinstance(raised.value.__cause__, OSError) and not os.path.exists(made[0][1])


def test_the_shared_mask_goes_after_the_process_that_maps_it(monkeypatch):
    class Pipe:
        def close(self):
            pass

    class Process:
        stdin = stdout = Pipe()
        runs = True

        def wait(self, timeout=None):
            self.runs = False

    # Windows removes no file that a process maps.
    def unlink(path):
        if process.runs:
            raise PermissionError(13, "used by another process", path)
        remove(path)

    process, remove, engine = Process(), os.unlink, HelperEngine()
    engine._process, engine._channel, engine._shared = process, Channel(None, None), SharedFile(1000)
    engine._channel.buffer = engine._shared.bytes
    frame, file, path = engine._channel, engine._shared, engine._shared.path  # as a traceback holds them
    monkeypatch.setattr(os, "unlink", unlink)
    engine.close()
    assert not os.path.exists(path) and frame.buffer is None and file.bytes is None
