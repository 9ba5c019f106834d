"""Makes the Slicer module's library importable, and finds the built shared library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "slicer-module" / "Mem3D"
sys.path[:0] = [str(MODULE), str(MODULE / "Testing" / "Python")]


def builtLibrary():
    """The shared library at MEM3D_LIBRARY, or the newest one that cargo built; None without one."""
    path = os.environ.get("MEM3D_LIBRARY")
    if path:
        return path
    suffix = "dylib" if sys.platform == "darwin" else "so"
    built = [ROOT / "target" / profile / ("libmem3d." + suffix) for profile in ("release", "debug")]
    return max((b for b in built if b.exists()), key=lambda b: b.stat().st_mtime, default=None)


@pytest.fixture(scope="session")
def library():
    """The shared library, loaded."""
    from Mem3DLib.Native import Library

    path = builtLibrary()
    if path is None:
        pytest.fail("libmem3d is not built; run: cargo build --release --lib")
    with Library(path) as library:
        yield library


@pytest.fixture(autouse=True)
def libraryOfSlicerTests(request, monkeypatch):
    """The module's test cases find the library as in Slicer: by MEM3D_LIBRARY."""
    if "test_slicer" in request.node.nodeid:
        path = builtLibrary()
        if path is None:
            pytest.fail("libmem3d is not built; run: cargo build --release --lib")
        monkeypatch.setenv("MEM3D_LIBRARY", str(path))


@pytest.fixture(scope="session")
def command():
    """Runs the command at MEM3D_COMMAND, or the newest one that cargo built; gives what it printed."""
    path = os.environ.get("MEM3D_COMMAND")
    if not path:
        built = [ROOT / "target" / profile / "mem3d" for profile in ("release", "debug")]
        path = max((b for b in built if b.exists()), key=lambda b: b.stat().st_mtime, default=None)
    if path is None:
        pytest.fail("mem3d is not built; run: cargo build --release")

    def run(*arguments):
        done = subprocess.run([str(path), "--quiet", *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
