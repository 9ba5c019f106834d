"""The archives of make dist for Windows and macOS, staged and packed on Linux: CMake is told that it builds for them,
and finds stand-ins where cargo's and libtorch's files would be."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from checkout import ROOT, builtCommand
from stand_ins import dll, tool

sys.path.insert(0, str(ROOT / "tools"))
import dist

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins are for Linux")
SEARCH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# Of the host's compiler, which is not asked for anything, and of what CMake would try with it.
CROSS = ["-GNinja", "-DCMAKE_C_COMPILER_FORCED=ON", "-DCMAKE_CXX_COMPILER_FORCED=ON", "-DCMAKE_HAVE_LIBC_PTHREAD=ON"]
FOR_WINDOWS = [*CROSS, "-DCMAKE_SYSTEM_NAME=Windows"]
FOR_MACOS = [*CROSS, "-DCMAKE_SYSTEM_NAME=Darwin", "-DCMAKE_INSTALL_NAME_TOOL=true"]
HOST = """
cmake_minimum_required(VERSION 3.22)
project(host C CXX)
find_package(Mem3D REQUIRED)
add_executable(host "${EXAMPLES}/c/hello.c")
target_link_libraries(host PRIVATE Mem3D::mem3d)
message(STATUS "DLLs: ${Mem3D_DLL_FOLDERS}; model: ${Mem3D_MODEL}")
"""
SLIM = """
bin/mem3d.dll bin/mem3d.exe include/mem3d.h include/mem3d.hpp lib/cmake/Mem3D/Mem3DConfig.cmake
lib/cmake/Mem3D/Mem3DConfigVersion.cmake lib/mem3d.dll.lib lib/pkgconfig/mem3d.pc share/doc/mem3d/CHANGELOG.md
share/doc/mem3d/LICENSE share/doc/mem3d/LICENSE.DejaVu share/doc/mem3d/NOTICE
share/doc/mem3d/THIRD-PARTY-LICENSES.txt share/doc/mem3d/examples/hello.c share/doc/mem3d/examples/hello.cpp
share/mem3d/models/compact.md share/mem3d/models/compact.safetensors share/powershell/mem3d.ps1
""".split()
LIBTORCH = """
bin/c10.dll bin/libiomp5md.dll bin/torch_cpu.dll share/doc/mem3d/libtorch/LICENSE.torch
""".split()


def installed(folder, target, libtorch, *options):
    """What CMake installs for another system, of what cargo would leave in `target`."""
    environment = dict(os.environ)
    os.environ.update(CARGO_TARGET_DIR=str(target), LIBTORCH=str(libtorch), PATH=SEARCH)
    try:
        (folder / "prefix").mkdir(parents=True)
        dist.install(folder / "prefix", folder, "release", *options)
    finally:
        os.environ.clear()
        os.environ.update(environment)
    return folder / "prefix"


def configured(folder, prefix, *options):
    """A host project that finds the package in `prefix`: whether it did, CMake's words, and how it is linked."""
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(HOST)
    arguments = ["-S", folder, "-B", folder / "build", f"-DMem3D_DIR={prefix}/lib/cmake/Mem3D"]
    environment = {name: value for name, value in os.environ.items() if name != "LIBTORCH"}
    done = subprocess.run(
        ["cmake", *arguments, f"-DEXAMPLES={ROOT}/examples", *options], env=dict(environment, PATH=SEARCH),
        capture_output=True, text=True, check=False,
    )
    rules = folder / "build" / "build.ninja"
    words = " ".join((done.stdout + done.stderr).split())
    return done.returncode == 0, words, rules.read_text() if rules.exists() else ""


@pytest.fixture(scope="module")
def libtorch(tmp_path_factory):
    """The torch of a Windows' Python: what mem3d needs, and what it does not."""
    torch = tmp_path_factory.mktemp("site-packages") / "torch"
    (torch / "lib").mkdir(parents=True)
    for name, imports in {
        "torch_cpu.dll": ("c10.dll", "libiomp5md.dll", "KERNEL32.dll", "api-ms-win-crt-math-l1-1-0.dll"),
        "c10.dll": ("MSVCP140.dll",), "libiomp5md.dll": ("KERNEL32.dll",),
        "torch_python.dll": ("torch_cpu.dll", "python312.dll"),
    }.items():
        (torch / "lib" / name).write_bytes(dll(*imports))
    (torch / "version.py").write_text("__version__ = '2.11.0+cpu'\n")
    (torch.parent / "torch-2.11.0.dist-info").mkdir()
    (torch.parent / "torch-2.11.0.dist-info" / "LICENSE").write_text("of libtorch\n")
    return torch


@pytest.fixture(scope="module")
def windows(libtorch, tmp_path_factory):
    """What make dist would pack on Windows, staged."""
    objdump = shutil.which("objdump")
    if objdump is None or "pei-x86-64" not in subprocess.check_output([objdump, "-i"], text=True):
        pytest.skip("this objdump cannot read DLLs")
    work = tmp_path_factory.mktemp("windows")
    built = work / "target" / "release"
    built.mkdir(parents=True)
    for name in ("mem3d.dll", "mem3d.exe"):
        (built / name).write_bytes(dll("torch_cpu.dll", "c10.dll", "VCRUNTIME140.dll"))
    (built / "mem3d.dll.lib").write_text("import library")
    prefix = installed(work, work / "target", libtorch, *FOR_WINDOWS)
    prefix = prefix.rename(work / dist.archive_name(dist.WINDOWS, "AMD64"))
    dist.documents(prefix)
    before = os.environ.get("LIBTORCH")
    os.environ["LIBTORCH"] = str(libtorch)
    try:
        dist.torch_licences(prefix, dist.WINDOWS)
    finally:
        os.environ.pop("LIBTORCH") if before is None else os.environ.update(LIBTORCH=before)
    dist.describe(prefix, builtCommand(), dist.WINDOWS)
    return prefix


def packed(prefix, folder, full):
    archive = folder / f"{prefix.name}{dist.suffix(dist.WINDOWS)}"
    dist.write(archive, dist.members(prefix, dist.WINDOWS, full), 1)
    return archive


def test_names_of_archives():
    names = {system: dist.archive_name(system, machine) + dist.suffix(system) for system, machine in (
        (dist.WINDOWS, "AMD64"), (dist.MACOS, "arm64"), (dist.LINUX, "x86_64"),
    )}
    version = re.search('^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    assert names == {
        "windows": f"mem3d-{version}-windows-x86_64.zip",
        "macos": f"mem3d-{version}-macos-arm64.tar.gz",
        "linux": f"mem3d-{version}-linux-x86_64.tar.gz",
    }


def test_an_archive_for_windows_holds_what_a_host_needs(windows, tmp_path):
    for full, wanted in ((False, SLIM), (True, SLIM + LIBTORCH)):
        with zipfile.ZipFile(packed(windows, tmp_path, full)) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == [f"{windows.name}/{name}" for name in sorted(wanted)]
            for entry in archive.infolist():
                assert archive.read(entry) == (windows.parent / entry.filename).read_bytes()
                assert entry.file_size > 0, entry.filename
    assert "Register-ArgumentCompleter" in (windows / "share/powershell/mem3d.ps1").read_text()
    for path in windows.rglob("*"):
        assert path.suffix not in (".pc", ".cmake") or str(ROOT) not in path.read_text(), path


def test_two_zips_have_the_same_bytes(windows, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    (tmp_path / "again").mkdir()
    first = packed(windows, tmp_path, False).read_bytes()
    file = windows / "include" / "mem3d.h"
    os.utime(file, (1, 1))
    file.chmod(0o600)
    second = packed(windows, tmp_path / "again", False)
    assert first == second.read_bytes()
    with zipfile.ZipFile(second) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2020, 9, 13, 12, 26, 40)}


def test_windows_hosts_link_the_import_library(windows, libtorch, tmp_path):
    with zipfile.ZipFile(packed(windows, tmp_path, True)) as archive:
        archive.extractall(tmp_path / "full")
    prefix = tmp_path / "full" / windows.name
    found, words, rules = configured(tmp_path / "host", prefix, *FOR_WINDOWS)
    assert found and f"DLLs: {prefix}/bin; model: {prefix}/share/mem3d/models/compact.safetensors" in words, words
    line = next(line for line in rules.splitlines() if "LINK_LIBRARIES" in line)
    assert f"{prefix}/lib/mem3d.dll.lib" in line and "rpath" not in rules, line
    # Without libtorch's DLLs: a sentence, or those of another folder.
    with zipfile.ZipFile(packed(windows, tmp_path, False)) as archive:
        archive.extractall(tmp_path / "slim")
    prefix = tmp_path / "slim" / windows.name
    found, words, _ = configured(tmp_path / "without", prefix, *FOR_WINDOWS)
    assert not found and "Copy the DLLs of a libtorch 2.11" in words and "set MEM3D_LIBTORCH" in words, words
    found, words, _ = configured(tmp_path / "beside", prefix, *FOR_WINDOWS, f"-DMEM3D_LIBTORCH={libtorch}")
    assert found and f"DLLs: {prefix}/bin;{libtorch}/lib; model" in words, words


def test_without_libtorch_nothing_is_bundled(libtorch, tmp_path):
    (tmp_path / "target" / "release").mkdir(parents=True)
    for name in ("mem3d.dll", "mem3d.exe", "mem3d.dll.lib"):
        (tmp_path / "target" / "release" / name).write_bytes(dll("torch_cpu.dll"))
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    with pytest.raises(subprocess.CalledProcessError):
        installed(tmp_path, tmp_path / "target", tmp_path / "torch", *FOR_WINDOWS)


def test_macos_hosts_search_the_library_and_libtorch(tmp_path):
    built = tmp_path / "target" / "release"
    built.mkdir(parents=True)
    for name in ("libmem3d.dylib", "mem3d"):
        (built / name).write_text("a program")
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    (tmp_path / "torch" / "lib" / "libtorch_cpu.dylib").write_text("libtorch")
    # What a library needs, only macOS can tell.
    prefix = installed(tmp_path, tmp_path / "target", tmp_path / "torch", *FOR_MACOS, "-DMEM3D_BUNDLE_LIBTORCH=OFF")
    assert (prefix / "lib" / "libmem3d.dylib").resolve().name == f"libmem3d.{dist.version()}.dylib"
    assert (prefix / "lib" / "libmem3d.1.dylib").is_symlink()
    assert "rpath-link" not in (prefix / "lib" / "pkgconfig" / "mem3d.pc").read_text()
    found, words, rules = configured(tmp_path / "host", prefix, *FOR_MACOS, f"-DMEM3D_LIBTORCH={tmp_path}/torch")
    assert found, words
    assert f"-Wl,-rpath,{prefix}/lib " in rules and f"-Wl,-rpath,{tmp_path}/torch/lib" in rules, rules


def test_macos_programs_search_relative_to_themselves(tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tool(tools, "otool", "Load command 12\n          cmd LC_RPATH\n         path /where/built/lib (offset 12)\n")
    tool(tools, "install_name_tool")
    tool(tools, "codesign")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "platform", "darwin")
    prefix, work = tmp_path / "prefix", tmp_path / "work"
    for folder in (prefix / "lib", prefix / "bin", work):
        folder.mkdir(parents=True)
    (prefix / "lib" / "libmem3d.0.1.0.dylib").write_text("library")
    (prefix / "lib" / "libmem3d.1.dylib").symlink_to("libmem3d.0.1.0.dylib")
    (prefix / "bin" / "mem3d").write_text("command")
    dist.relocate(prefix, work)
    calls = (tools / "calls").read_text().splitlines()
    for name, places in (
        ("libmem3d.0.1.0.dylib", ["@loader_path", "@loader_path/libtorch/lib"]),
        ("mem3d", ["@loader_path/../lib", "@loader_path/../lib/libtorch/lib"]),
    ):
        copy = work / name
        assert [call for call in calls if call.endswith(f" {copy}")] == [
            f"otool -l {copy}", f"install_name_tool -delete_rpath /where/built/lib {copy}",
            *(f"install_name_tool -add_rpath {place} {copy}" for place in places),
            f"codesign --force --sign - {copy}",
        ]
    assert (prefix / "lib" / "libmem3d.1.dylib").is_symlink() and os.access(prefix / "bin" / "mem3d", os.X_OK)
