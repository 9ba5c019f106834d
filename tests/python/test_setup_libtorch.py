"""Which libtorch a build takes: tools/setup.sh with stand-ins for what it installs, and build.rs in a small crate."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from checkout import ROOT
from stand_ins import tool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins are for Linux")
PLAIN = {name: value for name, value in os.environ.items() if not re.match("LIBTORCH|PIP_|CARGO_|RUST", name)}
# A pip that notes what it sees of wheels.
PIP = '#!/bin/sh\n[ "$3" = install ] || exit 0\necho "$PIP_FIND_LINKS" > pip\npwd >> pip\n'


def libtorch(folder):
    (folder / "lib").mkdir(parents=True)
    (folder / "include" / "ATen").mkdir(parents=True)
    for name in ("lib/libtorch_cpu.so", "include/ATen/ATen.h"):
        (folder / name).write_text("")
    (folder / "build-version").write_text("2.11.0\n")
    return folder


@pytest.fixture
def checkout(tmp_path):
    """What the script needs of a checkout, in a folder whose name has a blank."""
    checkout = tmp_path / "check out"
    for name in ("tools/setup.sh", "tools/requirements.txt", "Cargo.toml", ".cargo/config.toml"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").write_text(PIP)
    (checkout / ".venv" / "bin" / "python").chmod(0o755)
    tool(tmp_path / "bin", "cargo")
    tool(tmp_path / "bin", "rustc", "rustc 1.999.0 (a stand-in)\n")
    return checkout


def setup(checkout, cwd=None, **variables):
    search = f"{checkout.parent / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        [checkout / "tools" / "setup.sh"], cwd=cwd or checkout, env={**PLAIN, "PATH": search, **variables},
        capture_output=True, text=True, check=False,
    )


def test_a_changed_libtorch_is_noted_once(checkout, tmp_path):
    first, second = libtorch(tmp_path / "first"), libtorch(tmp_path / "second")
    note = checkout / ".cargo" / "libtorch"
    done = setup(checkout, LIBTORCH=str(first))
    assert done.returncode == 0 and note.read_text() == f"{first}\n", done.stdout + done.stderr
    os.utime(note, (1, 1))
    assert setup(checkout).returncode == 0 and note.stat().st_mtime == 1  # nothing to do, for cargo neither
    assert setup(checkout, LIBTORCH=str(second)).returncode == 0 and note.read_text() == f"{second}\n"
    # A link that somebody made.
    (checkout / ".libtorch").unlink()
    (checkout / ".libtorch").symlink_to(first)
    assert setup(checkout).returncode == 0 and note.read_text() == f"{first}\n"
    ignored = subprocess.run(["git", "check-ignore", ".cargo/libtorch"], cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode != 1


def test_a_relative_libtorch_is_refused(checkout, tmp_path):
    folder = libtorch(tmp_path / "torch")
    done = setup(checkout, cwd=tmp_path, LIBTORCH="torch")
    assert done.returncode == 1 and f'export LIBTORCH="{folder}"' in done.stderr, done.stderr
    assert not (checkout / ".libtorch").is_symlink()
    text = (ROOT / "tools" / "setup.ps1").read_text()
    assert text.index("IsPathRooted($env:LIBTORCH)") < text.index("Get-LibtorchFault $env:LIBTORCH")
    assert text.index("$CalledIn = (Get-Location)") < text.index("Set-Location (")


def test_wheels_are_found_in_a_folder_with_a_blank(checkout, tmp_path):
    # The words of the documentation; pip separates several places by blanks.
    given = re.search(r"PIP_FIND_LINKS=(.*) tools/setup.sh", (ROOT / "docs" / "building.md").read_text()).group(1)
    (checkout / "wheels").mkdir()
    value = subprocess.check_output(["bash", "-c", f"echo {given}"], cwd=checkout, text=True).strip()
    done = setup(checkout, LIBTORCH=str(libtorch(tmp_path / "torch")), PIP_FIND_LINKS=value)
    assert done.returncode == 0, done.stdout + done.stderr
    places, folder = (checkout / "pip").read_text().splitlines()
    assert [Path(folder, place).is_dir() for place in places.split()] == [True]


CRATE = """
[package]
name = "mem3d"
version = "0.1.0"
edition = "2024"
build = "build.rs"
[lib]
crate-type = ["cdylib", "rlib"]
[build-dependencies]
cxx-build = { path = "cxx-build" }
[workspace]
"""
# Compiles nothing.
CXX = """
pub struct Build;
pub fn bridge(_: &str) -> Build { Build }
impl Build {
    pub fn file(&mut self, _: &str) -> &mut Build { self }
    pub fn std(&mut self, _: &str) -> &mut Build { self }
    pub fn include(&mut self, _: std::path::PathBuf) -> &mut Build { self }
    pub fn flag_if_supported(&mut self, _: &str) -> &mut Build { self }
    pub fn compile(&mut self, _: &str) {}
}
"""


@pytest.fixture
def crate(tmp_path):
    """A crate that build.rs links, with nothing of libtorch."""
    if shutil.which("cargo") is None or shutil.which("readelf") is None:
        pytest.skip("cargo or readelf is missing")
    crate = tmp_path / "crate"
    files = {
        "Cargo.toml": CRATE, "src/lib.rs": "", "src/main.rs": "fn main() {}\n", "cxx-build/src/lib.rs": CXX,
        "cxx-build/Cargo.toml": '[package]\nname = "cxx-build"\nversion = "1.0.0"\nedition = "2024"\n',
        "src/torch/torch_ext.h": "", "src/torch/torch_ext.cc": "",
        "build.rs": (ROOT / "build.rs").read_text(), ".cargo/config.toml": (ROOT / ".cargo/config.toml").read_text(),
    }
    for name, text in files.items():
        (crate / name).parent.mkdir(parents=True, exist_ok=True)
        (crate / name).write_text(text)
    return crate


def build(crate):
    """Builds the crate; what cargo says, and where the command searches libraries."""
    arguments = ["cargo", "build", "--release", "--offline", "--target-dir", crate / "target"]
    done = subprocess.run(arguments, cwd=crate, env=PLAIN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = subprocess.check_output(["readelf", "-d", crate / "target" / "release" / "mem3d"], text=True)
    return done.stderr, re.search(r"runpath: \[(.*)\]", listed).group(1).split(":")


def test_a_changed_libtorch_reaches_the_programs(crate, tmp_path):
    first, second = libtorch(tmp_path / "first"), libtorch(tmp_path / "second")
    link, note = crate / ".libtorch", crate / ".cargo" / "libtorch"
    link.symlink_to(first)
    assert f"{first}/lib" in build(crate)[1]
    assert "Compiling" not in build(crate)[0]  # without a note, too
    link.unlink()
    link.symlink_to(second)
    note.write_text(f"{second}\n")
    assert f"{second}/lib" in build(crate)[1]
    assert "Compiling" not in build(crate)[0]


def test_a_package_with_the_layout_of_debian_is_installed(crate, tmp_path):
    libdir = "lib/x86_64-linux-gnu"
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # The path of a libtorch in /opt: shorter than what the package needs.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as short:
        (crate / ".libtorch").symlink_to(libtorch(Path(short) / "t"))
        build(crate)
        environment = {**PLAIN, "PATH": search, "CARGO_TARGET_DIR": str(crate / "target")}
        options = ["-GNinja", "-DMEM3D_BUILD_TESTS=OFF", f"-DCMAKE_INSTALL_LIBDIR={libdir}"]
        for arguments in (["-S", ROOT, "-B", tmp_path / "b", *options],
                          ["--install", tmp_path / "b", "--prefix", tmp_path / "p"]):
            done = subprocess.run(["cmake", *arguments], env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    for name, origin in (("bin/mem3d", f"$ORIGIN/../{libdir}"), (f"{libdir}/libmem3d.so", "$ORIGIN")):
        listed = subprocess.check_output(["readelf", "-d", tmp_path / "p" / name], text=True)
        assert f"runpath: [{origin}:{origin}/libtorch/lib]" in listed, listed
    subprocess.run([tmp_path / "p" / "bin" / "mem3d"], check=True)


def test_a_build_by_cmake_refuses_a_relative_libtorch(tmp_path):
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["cmake", "-GNinja", "-S", ROOT, "-B", tmp_path / "b"], env={**PLAIN, "PATH": search, "LIBTORCH": "torch"},
        capture_output=True, text=True, check=False,
    )
    assert done.returncode != 0 and "LIBTORCH is torch; set it to the whole path" in " ".join(done.stderr.split())
