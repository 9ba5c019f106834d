"""The engine in a helper process: same methods as Engine.Engine, another libtorch than Slicer's, and a crash or a lack
of memory there that leaves Slicer alone."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque

import numpy as np

from . import Errors, Native
from .Channel import Channel, SharedFile
from .Errors import HelperDiedError, UserError


class HelperEngine:
    """Starts the helper process with the first call. `environment`: of the process, from helperEnvironment()."""

    isHelper = True

    def __init__(self, command=None, environment=None):
        here = os.path.dirname(os.path.abspath(__file__))
        self._command = command or [pythonProgram(), os.path.join(here, "Helper.py")]
        self._environment = helperEnvironment() if environment is None else environment
        self._process = None
        self._channel = None
        self._shared = None
        self._stderr = deque(maxlen=20)
        self._collector = None

    def start(self, settings):
        """Starts the process and loads library and model there; gives what Engine.start() gives."""
        self.close()
        self._stderr.clear()
        hidden = {"creationflags": subprocess.CREATE_NO_WINDOW} if sys.platform == "win32" else {}
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                **hidden
            )
        except OSError as error:
            raise UserError(
                "The helper process cannot be started (%s: %s). Set 'Run the engine' to 'in Slicer' in the settings, "
                "or repair the installation of Slicer." % (self._command[0], error)
            ) from error
        self._channel = Channel(self._process.stdout, self._process.stdin)
        self._collector = threading.Thread(target=self._collect, args=(self._process.stderr,), daemon=True)
        self._collector.start()
        return self._ask("start", (), settings._asdict())

    def openSession(self, volume, geometry, options):
        """Opens a session instead of the one before. The volume goes over in shared memory."""
        volume = np.ascontiguousarray(volume)
        file = _shared(volume.nbytes)
        try:
            file.bytes[:] = volume.reshape(-1).view(np.uint8)
            self._ask("openSession", ((file.path, volume.shape, volume.dtype.str), geometry, options))
        finally:
            file.close()
        if self._shared is None or len(self._shared.bytes) < volume.size:
            shared = _shared(volume.size)  # room for one mask, one byte a voxel
            self._ask("share", (shared.path,))
            self._channel.buffer = shared.bytes
            self._shared = shared
            if os.name == "posix":
                shared.discard()

    def call(self, name, *arguments, onSlice=None, **named):
        """One method of the session."""
        return self._ask(name, arguments, named, onSlice)

    def _ask(self, name, arguments, named=None, onSlice=None):
        if self._process is None:
            raise Native.InvalidStateError("the helper process is not running; call start() first")
        raised = None
        try:
            self._channel.send((name, tuple(arguments), named or {}))
            while True:
                answer = self._channel.receive()
                if answer[0] != "slice":
                    break
                goOn = raised is None
                if goOn and onSlice is not None:
                    try:
                        goOn = bool(onSlice(Native.Progress(*answer[1])))
                    except BaseException as error:  # noqa: BLE001 - raised again below, when the helper has stopped
                        raised, goOn = error, False
                self._channel.send(("goOn", goOn))
        except (EOFError, OSError) as error:
            raise self._died() from error
        if raised is not None:
            raise raised
        if answer[0] == "error":
            raise _errorClass(answer[1])(answer[2])
        return answer[1]

    def _died(self):
        code = self.close()
        reason = "exit code %d" % code
        if code < 0:
            try:
                reason = signal.Signals(-code).name
            except ValueError:
                reason = "signal %d" % -code
            if -code == getattr(signal, "SIGKILL", 9):
                reason += ": often the system had no memory left"
        # Its last output may still be on its way. A child of its own may hold the pipe open: not for ever.
        self._collector.join(timeout=2)
        last = "".join(self._stderr).strip()
        return HelperDiedError(
            "The engine's helper process ended (%s). What you drew is kept: draw again, and it is started again with "
            "your session.%s" % (reason, " Its last words: " + last if last else "")
        )

    def _collect(self, pipe):
        for line in iter(pipe.readline, b""):
            self._stderr.append(line.decode("utf-8", "replace"))
        pipe.close()

    @property
    def processId(self):
        """Of the running helper; None without one."""
        return self._process.pid if self._process is not None else None

    def close(self):
        """Ends the process; its exit code, None without one."""
        process, self._process = self._process, None
        channel, self._channel = self._channel, None
        shared, self._shared = self._shared, None
        if process is None:
            return None
        for pipe in (process.stdin, process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        try:
            return process.wait(timeout=5)  # it ends by itself when its input ends
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            # Windows removes no file that a process maps, nor do frames of a traceback let go of the channel.
            if channel is not None:
                channel.buffer = None
            if shared is not None:
                shared.close()


def _shared(size):
    try:
        return SharedFile(size)
    except OSError as error:
        raise UserError(
            "There is no room for the %.1f MB that the engine's helper process shares (%s). Free space in %s, then try "
            "again." % (size / 1e6, error, tempfile.gettempdir())
        ) from error


def _errorClass(name):
    found = getattr(Native, name, None) or getattr(Errors, name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else Native.InternalError


def pythonProgram():
    """A Python without Slicer's application: Slicer's own launcher for it, or the one that runs this."""
    return shutil.which("PythonSlicer") or sys.executable


def helperEnvironment():
    """The environment of the helper process. In Slicer, call it on the main thread."""
    environment = startupEnvironment() or dict(os.environ)
    # Threads that soon wait asleep: beside a program that keeps a core busy, active waiting takes several times as
    # long, and sleeping at once takes twice as long on an idle machine.
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", "5000")
    return environment


def startupEnvironment():
    """The environment that Slicer itself was started with: its own library paths must not reach the helper. None, for
    the present one, outside of Slicer."""
    try:
        import slicer

        return dict(slicer.util.startupEnvironment())
    except (ImportError, AttributeError):
        return None
