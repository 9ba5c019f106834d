"""What a user can set, where it is kept, and where the model lies when nothing is set.

Needs the standard library only; `qt` is imported when settings are read from or written to Slicer's own.
"""

import os
from collections import namedtuple

from .Errors import UserError

MODES = ("auto", "inProcess", "helper")
_MODULE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PREFIX = "Mem3D/"

_Fields = namedtuple("_Fields", "modelPath libraryPath device threads memoryLimitMb mode")


class Settings(_Fields):
    """modelPath: a .safetensors file ("" for the one that comes with mem3d, "random:SEED" for tests); libraryPath: ""
    to look for it; device: "auto", "cpu" or "cuda:N"; threads: 0 for one a core; memoryLimitMb: most memory for the
    features kept of a volume, 0 for the default; mode: where the engine runs, one of MODES."""

    __slots__ = ()

    def __new__(cls, modelPath="", libraryPath="", device="auto", threads=0, memoryLimitMb=0, mode="auto"):
        if mode not in MODES:
            raise UserError("The setting 'mode' is %r; use one of %s." % (mode, ", ".join(MODES)))
        return super().__new__(
            cls, str(modelPath), str(libraryPath), str(device), int(threads), int(memoryLimitMb), str(mode)
        )

    @classmethod
    def fromEnvironment(cls, **fields):
        """For scripts: MEM3D_MODEL, MEM3D_DEVICE, MEM3D_MODE and MEM3D_THREADS, with `fields` on top. (MEM3D_LIBRARY
        is looked at when the library is loaded.)"""
        found = {
            "modelPath": os.environ.get("MEM3D_MODEL", ""),
            "device": os.environ.get("MEM3D_DEVICE", "auto"),
            "mode": os.environ.get("MEM3D_MODE", "auto"),
            "threads": int(os.environ.get("MEM3D_THREADS", 0)),
        }
        found.update(fields)
        return cls(**found)

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

    def sessionOptions(self):
        """The fields of mem3d_session_options that follow from these settings."""
        # A volume with NaN (outside of a reconstruction, of a resampling) is common, and no reason to refuse it.
        options = {"replace_non_finite": 1}
        if self.memoryLimitMb > 0:
            options["feature_cache_bytes"] = self.memoryLimitMb << 20
        return options


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
