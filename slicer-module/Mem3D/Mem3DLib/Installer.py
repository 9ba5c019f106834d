"""Installs the engine from mem3d's wheel with Slicer's own pip: the wheel, and libtorch in the form of PyTorch.

| PyTorch in Slicer | installed | into |
|---|---|---|
| none | PyTorch of mem3d's version, through the extension PyTorch if that is there; the wheel | Slicer's Python |
| mem3d's version | the wheel | Slicer's Python |
| another version | PyTorch of mem3d's version, the wheel | a folder beside Slicer's settings |

In the last case the engine runs in a helper process, and Slicer's PyTorch stays as it is. PyTorch of mem3d's version
needs Python 3.10.

Nothing is installed before the user agrees. `slicer` is imported when something is installed.
"""

import importlib
import importlib.util
import os
import sys
from collections import namedtuple

from . import Native
from .Engine import LIBTORCH_VERSION, installedTorchVersion, mayRunInProcess
from .Errors import UserError

# The oldest Python that PyTorch 2.11 is made for.
LEAST_PYTHON = (3, 10)

# `torch`: the version that pip installs, or None; `folder`: a folder of its own, or None for Slicer's Python.
Plan = namedtuple("Plan", "wheel torch folder")


def plan(wheel, settingsFile):
    """What has to be installed. `settingsFile`: Slicer's own, beside which there is room for a folder.

    Raises UserError for a file that is no wheel of mem3d, and where this Python is too old for its PyTorch.
    """
    name = os.path.basename(wheel)
    if not (name.startswith("mem3d-") and name.endswith(".whl") and os.path.isfile(wheel)):
        raise UserError("%s is no wheel of mem3d. Choose the file mem3d-VERSION-py3-none-SYSTEM.whl." % wheel)
    version = installedTorchVersion()
    if version is not None and mayRunInProcess():
        return Plan(wheel, None, None)
    if sys.version_info[:2] < LEAST_PYTHON:
        raise UserError(
            "The wheel needs PyTorch %s, for which this Slicer's Python %d.%d is too old: it takes %d.%d or newer. Use "
            "Slicer 5.10 or newer, or build the library (make build); the tutorial describes it."
            % ((LIBTORCH_VERSION,) + tuple(sys.version_info[:2]) + LEAST_PYTHON)
        )
    if version is None:
        return Plan(wheel, LIBTORCH_VERSION, None)
    return Plan(wheel, LIBTORCH_VERSION, os.path.join(os.path.dirname(os.path.abspath(settingsFile)), "Mem3D-engine"))


def question(plan):
    """What is about to happen, for the user to agree to."""
    what = os.path.basename(plan.wheel)
    if plan.torch is not None:
        what = "PyTorch %s (200 MB to 3 GB, from the network) and %s" % (plan.torch, what)
    where = "Slicer's Python"
    if plan.folder is not None:
        where = (
            "%s, apart from Slicer's PyTorch %s, which stays as it is; the engine then runs in a helper process"
            % (plan.folder, installedTorchVersion())
        )
    return "Install %s into %s? This can take some minutes, in which Slicer does not react." % (what, where)


def install(plan):
    """Installs, and gives the path of the library. Main thread; pip's output goes to Slicer's Python console.

    Raises UserError when pip fails or the user declines in PyTorch's own dialog; what was there before still works.
    """
    import slicer

    requirements = [plan.wheel]
    if plan.torch is not None and (plan.folder is not None or not _installTorch(plan.torch)):
        requirements.insert(0, "torch==" + plan.torch)
    options = ["--upgrade", "--target", plan.folder] if plan.folder is not None else []
    try:
        slicer.util.pip_install(options + requirements)
        if plan.folder is None:  # pip leaves a wheel of the same version as it is, whatever is in the new one
            slicer.util.pip_install(["--force-reinstall", "--no-deps", plan.wheel])
    except Exception as error:  # pip's failures have many classes
        raise UserError(
            "pip could not install %s: %s. Its messages are in the Python console. Is there a network, and is the "
            "wheel for this system?" % (" and ".join(os.path.basename(r) for r in requirements), error)
        ) from error
    library = _installed(plan.folder)
    if library is None:
        raise UserError("The wheel is installed, but holds no library. Is it a wheel of mem3d for this system?")
    return library


def _installTorch(version):
    """PyTorch through the extension of that name, which chooses the build for the graphics card; False without it."""
    try:
        from PyTorchUtils import PyTorchUtilsLogic
    except ImportError:
        return False
    if PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement="==" + version) is None:
        raise UserError("PyTorch was not installed: the extension PyTorch states the reason in the Python console.")
    return True


def _installed(folder):
    """The library of the installed package `mem3d`, in `folder` or in this Python; None if there is none."""
    if folder is None:
        importlib.invalidate_caches()
        found = importlib.util.find_spec("mem3d")
        folders = list(found.submodule_search_locations or ()) if found else []
    else:
        folders = [os.path.join(folder, "mem3d")]
    paths = [os.path.join(package, "_native", Native.FILE_NAME) for package in folders]
    return next((path for path in paths if os.path.isfile(path)), None)
