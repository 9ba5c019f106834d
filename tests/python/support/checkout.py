"""The folders of this checkout, the Slicer module on Python's path, and what cargo built."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULE = ROOT / "slicer-module" / "Mem3D"
sys.path[:0] = [str(MODULE), str(MODULE / "Testing" / "Python")]


def _newest(name):
    built = [ROOT / "target" / profile / name for profile in ("release", "debug")]
    return max((path for path in built if path.exists()), key=lambda path: path.stat().st_mtime, default=None)


def builtLibrary():
    """The shared library at MEM3D_LIBRARY, or the newest one that cargo built; None without one."""
    suffix = "dylib" if sys.platform == "darwin" else "so"
    return os.environ.get("MEM3D_LIBRARY") or _newest("libmem3d." + suffix)


def builtCommand():
    """The command at MEM3D_COMMAND, or the newest one that cargo built; None without one."""
    return os.environ.get("MEM3D_COMMAND") or _newest("mem3d")
