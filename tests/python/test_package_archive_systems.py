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
import hatch_build

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


def installed(folder, target, libtorch, *options, search=SEARCH):
    """What CMake installs for another system, of what cargo would leave in `target`."""
    environment = dict(os.environ)
    os.environ.update(CARGO_TARGET_DIR=str(target), LIBTORCH=str(libtorch), PATH=search)
    try:
        (folder / "prefix").mkdir(parents=True)
        dist.install(folder / "prefix", folder, "release", *options)
    finally:
        os.environ.clear()
        os.environ.update(environment)
    return folder / "prefix"


def configured(folder, prefix, *options, **variables):
    """A host project that finds the package in `prefix`: whether it did, CMake's words, and how it is linked."""
    folder.mkdir(exist_ok=True)
    (folder / "CMakeLists.txt").write_text(HOST)
    arguments = ["-S", folder, "-B", folder / "build", f"-DMem3D_DIR={prefix}/lib/cmake/Mem3D"]
    environment = {name: value for name, value in os.environ.items() if name != "LIBTORCH"}
    done = subprocess.run(
        ["cmake", *arguments, f"-DEXAMPLES={ROOT}/examples", *options], env=dict(environment, PATH=SEARCH, **variables),
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


# As otool prints it, with a place that is no word of a list of CMake.
LISTED = """Load command 12
          cmd LC_RPATH
         path @loader_path/libtorch/lib (offset 12)
Load command 13
          cmd LC_RPATH
         path /where; it was [built/lib (offset 12)
"""


@pytest.fixture(scope="module")
def macos(tmp_path_factory):
    """What CMake installs on macOS, and the calls of macOS' tools."""
    work = tmp_path_factory.mktemp("macos")
    built = work / "target" / "release"
    built.mkdir(parents=True)
    for name in ("libmem3d.dylib", "mem3d"):
        (built / name).write_text("a program")
    for name in ("otool", "install_name_tool", "codesign"):
        tool(work / "tools", name, LISTED if name == "otool" else "")
    # What a library needs, only macOS can tell.
    options = [*FOR_MACOS, "-DMEM3D_BUNDLE_LIBTORCH=OFF"]
    prefix = installed(work, work / "target", work / "torch", *options, search=f"{work / 'tools'}:{SEARCH}")
    return prefix, (work / "tools" / "calls").read_text().splitlines()


@pytest.fixture
def torch(tmp_path):
    """A libtorch that states no version."""
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    (tmp_path / "torch" / "lib" / "libtorch_cpu.dylib").write_text("libtorch")
    return tmp_path / "torch"


def test_macos_hosts_search_the_library_and_libtorch(macos, torch, tmp_path):
    prefix, _ = macos
    assert (prefix / "lib" / "libmem3d.dylib").resolve().name == f"libmem3d.{dist.version()}.dylib"
    assert (prefix / "lib" / "libmem3d.1.dylib").is_symlink()
    assert "rpath-link" not in (prefix / "lib" / "pkgconfig" / "mem3d.pc").read_text()
    found, words, rules = configured(tmp_path / "host", prefix, *FOR_MACOS, f"-DMEM3D_LIBTORCH={torch}")
    assert found, words
    assert f"-Wl,-rpath,{prefix}/lib " in rules and f"-Wl,-rpath,{torch}/lib" in rules, rules


def test_macos_programs_search_relative_to_themselves(macos):
    prefix, calls = macos
    for path, places in (
        ((prefix / "lib" / "libmem3d.dylib").resolve(), ["@loader_path", "@loader_path/libtorch/lib"]),
        (prefix / "bin" / "mem3d", ["@loader_path/../lib", "@loader_path/../lib/libtorch/lib"]),
    ):
        assert [call for call in calls if call.endswith(f" {path}")] == [
            f"otool -l {path}", f"install_name_tool -delete_rpath @loader_path/libtorch/lib {path}",
            f"install_name_tool -delete_rpath /where; it was [built/lib {path}",
            *(f"install_name_tool -add_rpath {place} {path}" for place in places),
            f"codesign --force --sign - {path}",
        ]


def test_hosts_take_libtorch_from_where_it_is_named_alone(macos, torch, tmp_path):
    prefix, _ = macos
    # The root of the file system, as the search sees it, has a libtorch; nobody names it.
    shutil.copytree(torch, tmp_path / "root")
    options = [*FOR_MACOS, f"-DCMAKE_FIND_ROOT_PATH={tmp_path / 'root'}"]
    found, words, _ = configured(tmp_path / "host", prefix, *options)
    assert not found and "libmem3d needs libtorch 2.11, and there is none" in words, words
    # LIBTORCH counts after a first try, too; one of an unknown version leads to a warning.
    found, words, rules = configured(tmp_path / "host", prefix, *options, LIBTORCH=str(torch))
    assert found and f"-Wl,-rpath,{torch}/lib" in rules, words
    assert "CMake Warning" in words and f"the version of {torch}/lib/libtorch_cpu.dylib is unknown" in words, words
    (torch / "version.py").write_text("__version__ = '2.11.0'\n")
    # What was found stays, without the variable.
    found, words, rules = configured(tmp_path / "host", prefix, *options)
    assert found and f"-Wl,-rpath,{torch}/lib" in rules and "CMake Warning" not in words, words
    (torch / "version.py").write_text("__version__ = '2.10.0'\n")
    found, words, _ = configured(tmp_path / "host", prefix, *options)
    assert not found and "has 2.10.0" in words, words


@pytest.mark.parametrize("version, tag", [
    ("LC_BUILD_VERSION\n  cmdsize 32\n platform 1\n    minos 11.0\n      sdk 15.2\n   ntools 1", "macosx_11_0"),
    ("LC_BUILD_VERSION\n  cmdsize 32\n platform 1\n    minos 12.3\n      sdk 15.2\n   ntools 1", "macosx_12_0"),
    ("LC_VERSION_MIN_MACOSX\n  cmdsize 16\n  version 10.12\n      sdk 15.2", "macosx_10_12"),
])
def test_a_wheel_of_macos_is_for_the_processor_it_was_built_on(tmp_path, monkeypatch, version, tag):
    tool(tmp_path, "otool", f"Load command 9\n      cmd {version}\n      cmd LC_SOURCE_VERSION\n  version 99.0\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "platform", "darwin")
    # The Python of python.org is for both processors, and for older systems.
    monkeypatch.setattr(hatch_build.sysconfig, "get_platform", lambda: "macosx-10.9-universal2")
    monkeypatch.setattr(hatch_build.platform, "machine", lambda: "arm64")
    assert hatch_build.platform_tag([tmp_path / "mem3d"]) == f"{tag}_arm64"


@pytest.mark.parametrize("given, wanted", [("torch", "{cwd}/torch"), ("", None)])
def test_a_build_of_the_wheel_gives_cargo_the_whole_path_of_libtorch(tmp_path, monkeypatch, given, wanted):
    (tmp_path / "torch").mkdir()
    (tmp_path / ".libtorch").mkdir()
    seen = {}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIBTORCH", given)
    monkeypatch.setattr(hatch_build.shutil, "which", lambda name: name)
    monkeypatch.setattr(hatch_build.subprocess, "run", lambda *_, env, **more: seen.update(env))
    hatch_build.cargo_build(tmp_path)
    assert seen.get("LIBTORCH") == (wanted and wanted.format(cwd=tmp_path))
    monkeypatch.setenv("LIBTORCH", "nowhere")
    with pytest.raises(SystemExit, match="LIBTORCH is nowhere, and there is no such folder"):
        hatch_build.cargo_build(tmp_path)
