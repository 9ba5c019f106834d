"""The engine behind one small interface, whether it runs in this process or in a helper process.

Three methods: start(), openSession(), call(); close() ends it. None of them touches MRML or Qt, and all are called
from one thread (see Worker.py). `Engine` runs here, `HelperEngine.HelperEngine` elsewhere.
"""

import ctypes
import importlib.util
import os
import sys

from . import Native
from .Settings import modelFile

# The libtorch that the library is built for. It must be known before loading; the tests compare it with the library's.
LIBTORCH_VERSION = "2.11.0"

# Methods of Native.Session that call() may name.
READS = frozenset(
    "segments annotatedSlices readQuality suggestSlice readMask readSliceMask readProbability readLabels window "
    "memoryUsage save restore".split()
)
CHANGES = frozenset("interact setSliceMask setMask accept propagate undo redo reset".split())

# Libraries that were loaded into this process, which cannot let go of them.
_loadedHere = set()


class Engine:
    """The library, one model and one session, in this process."""

    isHelper = False

    def __init__(self):
        self._library = self._model = self._session = None

    def start(self, settings):
        """Loads library and model; gives what is worth showing: a dict of plain values."""
        path, library = modelFile(settings), settings.libraryFile()
        _openUnlocked(Native.libraryCandidates(library))
        self._library = Native.Library(library)
        _loadedHere.add(self._library.path)
        self._library.setThreadCount(settings.threads)
        if path.startswith("random:"):
            self._model = self._library.randomModel(seed=int(path[len("random:") :]), device=settings.device)
        else:
            self._model = self._library.loadModel(path, settings.device)
        info = self._model.info()
        return {
            "version": self._library.version(),
            "libtorch": self._library.libtorchVersion(),
            "threads": self._library.threadCount(),
            "devices": [tuple(device) for device in self._library.devices()],
            "device": info.device,
            "model": info.name,
            "provenance": info.provenance,
            "licence": info.licence,
            "interactionKinds": list(info.interactionKinds),
            "helper": False,
        }

    def openSession(self, volume, geometry, options):
        """Opens a session instead of the one before. `geometry`: spacingMm, originMm and direction."""
        self._closeSession()
        self._session = self._model.openSession(volume, **geometry, **options)

    def call(self, name, *arguments, onSlice=None, **named):
        """One method of the session. `onSlice` goes with propagate only."""
        if name not in READS and name not in CHANGES:
            raise Native.InvalidArgumentError("a session has no method %s" % name)
        if self._session is None:
            raise Native.InvalidStateError("no session is open; call openSession() first")
        if name == "propagate":
            named["onSlice"] = onSlice
        return getattr(self._session, name)(*arguments, **named)

    def _closeSession(self):
        if self._session is not None:
            self._session.free()
            self._session = None

    def close(self):
        self._closeSession()
        if self._model is not None:
            self._model.free()
            self._model = None


def installedTorchVersion():
    """The version of the PyTorch that this Python has imported or could import; None without one."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return str(getattr(torch, "__version__", "unknown"))
    if importlib.util.find_spec("torch") is None:
        return None
    try:
        from importlib import metadata

        return metadata.version("torch")
    except Exception:  # noqa: BLE001 - a torch without metadata is a torch of unknown version
        return "unknown"


def mayRunInProcess():
    """Whether the library may be loaded here: two libtorches of different versions in one process break each other."""
    version = installedTorchVersion()
    return version is None or version.split("+")[0] == LIBTORCH_VERSION


def needsRestart(settings):
    """Whether a library that was just installed waits for the end of this process, which has one already."""
    return bool(_loadedHere) and not makeEngine(settings).isHelper


def _openUnlocked(candidates):
    """Opens the library without the interpreter lock. ctypes.CDLL holds it until libtorch is loaded, which takes half a
    second in which Slicer could not react; after this, it finds everything there. What fails here fails there again,
    in words."""
    found = next((path for path in candidates if os.path.exists(path)), None)
    if found is not None and sys.platform != "win32":
        dlopen = ctypes.CDLL(None).dlopen
        dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
        dlopen(os.fsencode(found), os.RTLD_NOW | ctypes.DEFAULT_MODE)


def makeEngine(settings, environment=None):
    """The engine that `settings` ask for, not started yet; `environment`: of a helper process."""
    if settings.mode == "inProcess" or (settings.mode == "auto" and mayRunInProcess()):
        return Engine()
    from .HelperEngine import HelperEngine

    return HelperEngine(environment=environment)
