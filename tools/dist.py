"""Relocatable archives of library, command, headers, model and licences: make dist.

    python tools/dist.py [--out dist] [--profile release] [--level 9] [--only slim|full]

`mem3d-VERSION-PLATFORM.tar.gz` is without libtorch, which is put or linked at `lib/libtorch`;
`mem3d-VERSION-PLATFORM-libtorch.tar.gz` holds the CPU part of it. For Windows they are `.zip`, and libtorch's DLLs lie
beside `bin/mem3d.dll`. Two runs on one build give the same bytes (SOURCE_DATE_EPOCH is the time of every file).

Run on Linux x86-64. Never run: on macOS and Windows; the tests stage and pack their archives on Linux with stand-ins
for what cargo and libtorch would be (tests/python/test_package_archive_systems.py).
"""

import argparse
import gzip
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))
from hatch_build import COMMAND

sys.path.pop(0)  # the package mem3d in that folder has no library

LINUX, MACOS, WINDOWS = "linux", "macos", "windows"
SYSTEM = {"darwin": MACOS, "win32": WINDOWS}.get(sys.platform, LINUX)
SHELLS = {
    "bash": "share/bash-completion/completions/mem3d",
    "zsh": "share/zsh/site-functions/_mem3d",
    "fish": "share/fish/vendor_completions.d/mem3d.fish",
}
POWERSHELL = {"powershell": "share/powershell/mem3d.ps1"}
TEXTS = PurePosixPath("share/doc/mem3d")
MACHINES = {"amd64": "x86_64"}


def version():
    return re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)


def archive_name(system, machine):
    """`mem3d-VERSION-PLATFORM`, also the folder at the top of an archive."""
    return f"mem3d-{version()}-{system}-{MACHINES.get(machine.lower(), machine)}"


def suffix(system):
    return ".zip" if system == WINDOWS else ".tar.gz"


def torch_texts(system):
    """Where libtorch's licences lie in an archive."""
    return TEXTS / "libtorch" if system == WINDOWS else PurePosixPath("lib/libtorch")


def is_libtorch(inside, system):
    """Whether a path of an archive belongs to libtorch."""
    inside = PurePosixPath(inside)
    if torch_texts(system) in (inside, *inside.parents):
        return True
    own = ("mem3d.dll", "mem3d.exe")
    return system == WINDOWS and inside.parent == PurePosixPath("bin") and inside.name not in own


def stage(prefix, work, profile):
    """Puts everything, libtorch included, below `prefix`."""
    install(prefix, work, profile)
    documents(prefix)
    torch_licences(prefix, SYSTEM)
    # The libtorch beside it serves here.
    describe(prefix, prefix / "bin" / COMMAND, SYSTEM)


def install(prefix, work, profile, *options):
    """What CMake installs: library, command, headers, model, its own package, and libtorch."""
    cmake = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    options = [f"-DMEM3D_CARGO_PROFILE={profile}", "-DMEM3D_BUILD_TESTS=OFF", "-DMEM3D_BUNDLE_LIBTORCH=ON", *options]
    options += ["-DCMAKE_INSTALL_LIBDIR=lib", "-DCMAKE_INSTALL_INCLUDEDIR=include", "-DCMAKE_BUILD_TYPE=Release"]
    subprocess.run([cmake, "-S", ROOT, "-B", work / "cmake", *options], check=True, stdout=subprocess.DEVNULL)
    # The configuration is for generators that have several, as that of Visual Studio.
    arguments = ["--install", work / "cmake", "--config", "Release", "--prefix", prefix]
    subprocess.run([cmake, *arguments], check=True, stdout=subprocess.DEVNULL)


def describe(prefix, command, system):
    """What the command itself describes: manual pages, and completion of its arguments in shells."""
    if system != WINDOWS:
        subprocess.run([command, "man", prefix / "share" / "man" / "man1"], check=True, stdout=subprocess.DEVNULL)
    for shell, place in (POWERSHELL if system == WINDOWS else SHELLS).items():
        script = subprocess.run([command, "completions", shell], check=True, capture_output=True).stdout
        (prefix / place).parent.mkdir(parents=True)
        (prefix / place).write_bytes(script)


def documents(prefix):
    """Texts that CMake does not install: examples."""
    texts = prefix / TEXTS
    for name in ("c/hello.c", "cpp/hello.cpp"):
        (texts / "examples").mkdir(exist_ok=True)
        shutil.copy(ROOT / "examples" / name, texts / "examples")


def torch_licences(prefix, system):
    """Licences of the packages that libtorch's libraries come from."""
    folder = prefix / torch_texts(system)
    folder.mkdir(parents=True, exist_ok=True)
    site = Path(os.environ.get("LIBTORCH") or ROOT / ".libtorch").resolve().parent
    found = [p for p in site.glob("*.dist-info") if re.match(r"(torch|nvidia_cuda_(cupti|runtime)|nvidia_cu)", p.name)]
    for package in found:
        for licence in (p for p in package.rglob("*") if re.match("(LICENSE|License|NOTICE|COPYING)", p.name)):
            if licence.is_file():
                name = package.name.split("-")[0]
                shutil.copy(licence, folder / f"{licence.name}.{name}")
    if not any(folder.glob("LICENSE.torch")):
        sys.exit(f"{site} has no licence of libtorch, which the archive needs: build with a PyTorch that pip installed")


def members(prefix, system, full):
    """The paths of an archive and their names in it, in a fixed order; without libtorch unless `full`."""
    names = {path.relative_to(prefix).as_posix(): path for path in prefix.rglob("*")}
    return [(names[name], f"{prefix.name}/{name}") for name in sorted(names) if full or not is_libtorch(name, system)]


def epoch():
    return int(os.environ.get("SOURCE_DATE_EPOCH", "1577836800"))


def write(archive, found, level):
    """A reproducible archive of what [`members`] gives: a .zip or a .tar.gz, by its name."""
    new = archive.with_name(archive.name + ".new")
    (write_zip if archive.suffix == ".zip" else write_tar)(new, found, level)
    os.replace(new, archive)
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB")


def write_tar(archive, found, level):
    def plain(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = epoch()
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    with open(archive, "wb") as file, gzip.GzipFile("", "wb", level, file, epoch()) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, name in found:
                tar.add(path, name, recursive=False, filter=plain)


def write_zip(archive, found, level):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as packed:
        for path, name in found:
            if path.is_dir():
                continue  # a folder is made for its files
            entry = zipfile.ZipInfo(name, time.gmtime(epoch())[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 0  # the same on every system; Windows knows no permissions
            with open(path, "rb") as file, packed.open(entry, "w") as inside:
                shutil.copyfileobj(file, inside, 1 << 20)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of the archives")
    parser.add_argument("--profile", default="release", help="cargo profile of the library: release or dev")
    parser.add_argument("--level", type=int, default=9, help="level of compression, 1 to 9")
    parser.add_argument("--only", choices=["slim", "full"], help="write only the archive without or with libtorch")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = archive_name(SYSTEM, platform.machine())
    work = arguments.out / ".stage"
    shutil.rmtree(work, ignore_errors=True)
    try:
        prefix = work / name
        prefix.mkdir(parents=True)
        stage(prefix, work, arguments.profile)
        for kind, end in (("slim", ""), ("full", "-libtorch")):
            if arguments.only in (None, kind):
                found = members(prefix, SYSTEM, kind == "full")
                write(arguments.out / f"{name}{end}{suffix(SYSTEM)}", found, arguments.level)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
