"""Where libtorch comes from: the `torch` package, LIBTORCH, or the Slicer module; and opening it before mem3d."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
from pathlib import Path

from ._native.NativeErrors import LibraryNotFoundError

SERIES = "2.11"
INSTALL = "install it with: python -m pip install torch==2.11.0"
if sys.platform == "linux":
    # Elsewhere the package index has it without CUDA's libraries.
    INSTALL += " (3 GB with CUDA; without, add: --index-url https://download.pytorch.org/whl/cpu)"
_OTHERS = {"win32": ("c10.dll", "torch_cpu.dll"), "darwin": ("libc10.dylib", "libtorch_cpu.dylib")}
_NAMES = _OTHERS.get(sys.platform, ("libc10.so", "libtorch_cpu.so"))


class LibtorchError(LibraryNotFoundError):
    """libtorch is missing, cannot be opened, or is not of version 2.11. The text states what to install."""


def version(folder: Path) -> str:
    """The version of the libtorch in a folder; empty when it states none."""
    archive, package = folder / "build-version", folder / "version.py"
    if archive.is_file():
        return archive.read_text().split()[0]
    if package.is_file():
        found = re.search(r"^__version__\s*=\s*['\"]([^'\"]*)", package.read_text(), re.MULTILINE)
        return found.group(1) if found else ""
    return ""


def _of_package(name: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    found = importlib.util.find_spec(name)
    places = list(found.submodule_search_locations or []) if found else []
    return Path(places[0]) if places else None


def _beside_slicer_module() -> Path | None:
    module = _of_package("Mem3DLib")
    places = [module / "libtorch", module.parent / "lib" / "libtorch", module.parent / "libtorch"] if module else []
    return next((place for place in places if (place / "lib" / _NAMES[1]).is_file()), None)


def find() -> Path:
    """The folder of libtorch 2.11.

    A torch that is imported already comes first, since a process can contain only one libtorch; then LIBTORCH, the
    installed torch, and the libtorch that the Slicer module came with.

    Raises
    ------
    LibtorchError
        None of them exists, or the first of them is of another version.
    """
    loaded = sys.modules.get("torch")
    if loaded is not None and getattr(loaded, "__file__", None):
        folder, what = Path(str(loaded.__file__)).parent, "the imported torch"
    elif os.environ.get("LIBTORCH"):
        folder, what = Path(os.environ["LIBTORCH"]), "LIBTORCH"
    else:
        package = _of_package("torch")
        folder, what = package or _beside_slicer_module() or Path(), "the installed torch" if package else "Slicer's"
        if folder == Path():
            raise LibtorchError(f"mem3d needs libtorch {SERIES}, and there is no torch here: {INSTALL}")
    if not (folder / "lib" / _NAMES[1]).is_file():
        raise LibtorchError(f"{what} is {folder}, and it has no lib/{_NAMES[1]}; name a folder of libtorch {SERIES}")
    has = version(folder)
    if has and not has.startswith(SERIES + "."):
        raise LibtorchError(f"mem3d needs libtorch {SERIES}, and {what} ({folder}) is {has}: {INSTALL}")
    return folder


def preload() -> None:
    """Opens libtorch, so that mem3d's library, opened next, is linked with it wherever it lies."""
    lib = find() / "lib"
    if sys.platform == "win32":
        os.add_dll_directory(str(lib))
    for name in _NAMES:
        try:
            ctypes.CDLL(str(lib / name))
        except OSError as error:
            raise LibtorchError(f"libtorch cannot be opened: {error}; {INSTALL}") from error
