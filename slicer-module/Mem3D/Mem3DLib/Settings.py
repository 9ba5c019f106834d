"""What a user can set, where it is kept, and where model and library lie when nothing is set.

Needs the standard library only; `slicer` is imported when a script asks for the settings kept there.
"""

import os
from collections import namedtuple

from .Errors import UserError

MODES = ("auto", "inProcess", "helper")
_MODULE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PREFIX = "Mem3D/"
_VARIABLES = {"modelPath": "MEM3D_MODEL", "device": "MEM3D_DEVICE", "mode": "MEM3D_MODE", "threads": "MEM3D_THREADS"}

_Fields = namedtuple("_Fields", "modelPath libraryPath device threads memoryLimitMb mode")


class Settings(_Fields):
    """modelPath: a .safetensors file ("" for the one that comes with mem3d, "random:SEED" for tests); libraryPath: the
    library that was installed from a wheel, "" for none; device: "auto", "cpu" or "cuda:N"; threads: 0 for the
    processors that other programs leave free; memoryLimitMb: most memory for the features kept of a volume, 0 for the
    default; mode: where the engine runs, one of MODES."""

    __slots__ = ()

    def __new__(cls, modelPath="", libraryPath="", device="auto", threads=0, memoryLimitMb=0, mode="auto"):
        if mode not in MODES:
            raise UserError("The setting 'mode' is %r; use one of %s." % (mode, ", ".join(MODES)))
        return super().__new__(
            cls, str(modelPath), str(libraryPath), str(device), int(threads), int(memoryLimitMb), str(mode)
        )

    @classmethod
    def fromEnvironment(cls, **fields):
        """MEM3D_MODEL, MEM3D_DEVICE, MEM3D_MODE and MEM3D_THREADS, with `fields` on top. (MEM3D_LIBRARY is looked at
        when the library is loaded.)"""
        return cls(**{**_variables(), **fields})

    @classmethod
    def forScripts(cls):
        """The settings kept in Slicer, and in place of each the environment variable that is set: see
        fromEnvironment(). Without Slicer, the defaults take the place of what is kept. Main thread only."""
        try:
            import slicer

            store = slicer.app.userSettings()
        except (ImportError, AttributeError):
            return cls.fromEnvironment()
        return cls(**{**cls.load(store)._asdict(), **_variables()})

    @classmethod
    def load(cls, store):
        """From a QSettings; what is missing or unusable there takes its default."""
        fields = {}
        for name, default in cls()._asdict().items():
            value = store.value(_PREFIX + name)
            try:
                fields[name] = default if value is None else type(default)(value)
            except (TypeError, ValueError):
                fields[name] = default
        if fields["mode"] not in MODES:
            fields["mode"] = "auto"
        return cls(**fields)

    def save(self, store):
        """Into a QSettings."""
        for name, value in self._asdict().items():
            store.setValue(_PREFIX + name, value)

    def libraryFile(self):
        """The library to load: what MEM3D_LIBRARY names, else the one that was installed from a wheel, as long as it is
        there; None to search the usual places (Native.libraryCandidates)."""
        named = os.environ.get("MEM3D_LIBRARY")
        if named:
            return named
        return self.libraryPath if self.libraryPath and os.path.isfile(self.libraryPath) else None

    def sessionOptions(self):
        """The fields of mem3d_session_options that follow from these settings."""
        # A volume with NaN (outside of a reconstruction, of a resampling) is common, and no reason to refuse it.
        options = {"replace_non_finite": 1}
        if self.memoryLimitMb > 0:
            options["feature_cache_bytes"] = self.memoryLimitMb << 20
        return options


def _variables():
    """The fields that environment variables set; an empty variable sets none."""
    return {field: os.environ[name] for field, name in _VARIABLES.items() if os.environ.get(name)}


def modelFile(settings):
    """The model file to load."""
    if settings.modelPath:
        if not settings.modelPath.startswith("random:") and not os.path.isfile(settings.modelPath):
            raise UserError("There is no model file %s. Choose another one in the settings." % settings.modelPath)
        return settings.modelPath
    root = os.path.dirname(os.path.dirname(_MODULE))
    for folder in (os.path.join(_MODULE, "Resources", "Models"), os.path.join(root, "models")):
        path = os.path.join(folder, "compact.safetensors")
        if os.path.isfile(path):
            return path
    raise UserError(
        "No model file came with this installation. Choose a mem3d model (.safetensors) in the settings; "
        "nothing is downloaded by itself."
    )
