"""Relocatable archives of library, command, headers, model and licences: make dist.

    python tools/dist.py [--out dist] [--profile release] [--level 9] [--only slim|full]

`mem3d-VERSION-PLATFORM.tar.gz` is without libtorch, which is put or linked at `lib/libtorch`;
`mem3d-VERSION-PLATFORM-libtorch.tar.gz` holds the CPU part of it. Two runs on one build give the same bytes
(SOURCE_DATE_EPOCH is the time of every file).
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))
from hatch_build import COMMAND, relocatable

SHELLS = {
    "bash": "share/bash-completion/completions/mem3d",
    "zsh": "share/zsh/site-functions/_mem3d",
    "fish": "share/fish/vendor_completions.d/mem3d.fish",
}


def version():
    return re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)


def stage(prefix, work, arguments):
    """Installs everything, libtorch included, below `prefix`."""
    cmake = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    options = [f"-DMEM3D_CARGO_PROFILE={arguments.profile}", "-DMEM3D_BUILD_TESTS=OFF", "-DMEM3D_BUNDLE_LIBTORCH=ON"]
    options += ["-DCMAKE_INSTALL_LIBDIR=lib", "-DCMAKE_INSTALL_INCLUDEDIR=include", "-DCMAKE_BUILD_TYPE=Release"]
    subprocess.run([cmake, "-S", ROOT, "-B", work / "cmake", *options], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([cmake, "--install", work / "cmake", "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)

    command = prefix / "bin" / COMMAND
    if sys.platform == "darwin":  # on Linux, CMake sets where programs look for libtorch
        libraries = [path for path in prefix.glob("lib/libmem3d*") if not path.is_symlink()]
        for path, places in (
            *((path, ("", "/libtorch/lib")) for path in libraries),
            (command, ("/../lib", "/../lib/libtorch/lib")),
        ):
            os.replace(relocatable(path, work, places), path)
            path.chmod(0o755)
    documents(prefix)
    torch_licences(prefix)
    # What the command itself describes; the libtorch beside it serves here.
    subprocess.run([command, "man", prefix / "share" / "man" / "man1"], check=True, stdout=subprocess.DEVNULL)
    for shell, place in SHELLS.items():
        script = subprocess.run([command, "completions", shell], check=True, capture_output=True).stdout
        (prefix / place).parent.mkdir(parents=True)
        (prefix / place).write_bytes(script)


def documents(prefix):
    """Texts that CMake does not install: licences of all crates, examples."""
    texts = prefix / "share" / "doc" / "mem3d"
    shutil.copy(ROOT / "THIRD-PARTY-LICENSES.txt", texts)
    for name in ("c/hello.c", "cpp/hello.cpp"):
        (texts / "examples").mkdir(exist_ok=True)
        shutil.copy(ROOT / "examples" / name, texts / "examples")


def torch_licences(prefix):
    """Licences of the packages that the libraries in lib/libtorch come from."""
    folder = prefix / "lib" / "libtorch"
    site = Path(os.environ.get("LIBTORCH") or ROOT / ".libtorch").resolve().parent
    found = [p for p in site.glob("*.dist-info") if re.match(r"(torch|nvidia_cuda_(cupti|runtime)|nvidia_cu)", p.name)]
    for package in found:
        for licence in (p for p in package.rglob("*") if re.match("(LICENSE|License|NOTICE|COPYING)", p.name)):
            if licence.is_file():
                name = package.name.split("-")[0]
                shutil.copy(licence, folder / f"{licence.name}.{name}")
    if not any(folder.glob("LICENSE.torch")):
        sys.exit(f"{site} has no licence of libtorch, which the archive needs: build with a PyTorch that pip installed")


def write(archive, prefix, without, level):
    """A reproducible .tar.gz of `prefix`, its folder's name at the top; `without` is a folder in it to leave out."""
    time = int(os.environ.get("SOURCE_DATE_EPOCH", "1577836800"))

    def plain(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = time
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    new = archive.with_name(archive.name + ".new")
    with open(new, "wb") as file, gzip.GzipFile("", "wb", level, file, time) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(prefix.rglob("*")):
                inside = path.relative_to(prefix)
                if without is None or inside.parts[: len(without.parts)] != without.parts:
                    tar.add(path, Path(prefix.name, inside), recursive=False, filter=plain)
    os.replace(new, archive)
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of the archives")
    parser.add_argument("--profile", default="release", help="cargo profile of the library: release or dev")
    parser.add_argument("--level", type=int, default=9, help="level of gzip, 1 to 9")
    parser.add_argument("--only", choices=["slim", "full"], help="write only the archive without or with libtorch")
    arguments = parser.parse_args()
    if sys.platform == "win32":
        sys.exit("make dist is for Linux and macOS; on Windows, the wheel holds library, command and model")
    arguments.out.mkdir(parents=True, exist_ok=True)
    system = {"darwin": "macos"}.get(sys.platform, "linux")
    name = f"mem3d-{version()}-{system}-{platform.machine()}"
    work = arguments.out / ".stage"
    shutil.rmtree(work, ignore_errors=True)
    try:
        (work / name).mkdir(parents=True)
        stage(work / name, work, arguments)
        if arguments.only != "full":
            write(arguments.out / f"{name}.tar.gz", work / name, Path("lib", "libtorch"), arguments.level)
        if arguments.only != "slim":
            write(arguments.out / f"{name}-libtorch.tar.gz", work / name, None, arguments.level)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
