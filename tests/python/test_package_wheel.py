"""The Python package: its wheel, and what it does in an environment outside of the source tree.

`package/check_*.py` are the tests that run inside of that environment.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from checkout import ROOT, builtCommand, builtLibrary
from installed import Environment, build

CHECKS = sorted(path.name for path in (Path(__file__).parent / "package").glob("check_*.py"))
# On small volumes one thread is as fast as several, and the machine may be busy.
ONE = {"OMP_NUM_THREADS": "1"}


def test_the_wheel_is_whole(wheel):
    version = re.search('^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    assert wheel.name.startswith(f"mem3d-{version}-py3-none-") and wheel.stat().st_size < 40e6
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        library, command = Path(builtLibrary()).name, Path(builtCommand()).name
        for name in ("py.typed", "models/compact.safetensors", f"_native/{library}", f"bin/{command}"):
            assert "mem3d/" + name in names, name
        assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".rs", ".h"))]
        # One binding, in one place of the repository.
        for name in ("Native.py", "NativeTypes.py", "NativeErrors.py"):
            source = ROOT / "slicer-module" / "Mem3D" / "Mem3DLib" / name
            assert archive.read("mem3d/_native/" + name) == source.read_bytes()
        assert any(name.endswith("licenses/NOTICE") for name in names)
        # Nothing knows where it was built.
        for name in names:
            assert str(ROOT).encode() not in archive.read(name) or name.endswith((library, command)), name
    if sys.platform == "linux":
        with zipfile.ZipFile(wheel) as archive:
            for name in (f"mem3d/_native/{library}", f"mem3d/bin/{command}"):
                loaded = archive.read(name)
                assert b"$ORIGIN/../../torch/lib" in loaded and b":$ORIGIN/libtorch/lib:" not in loaded


def test_two_builds_have_the_same_bytes(wheel, tmp_path):
    again = build("wheel", tmp_path / "dist", tmp_path)
    assert again.name == wheel.name
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


def test_the_checkers_accept_it(wheel):
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    if sys.platform == "linux":
        done = subprocess.run([sys.executable, "-m", "auditwheel", "show", wheel], capture_output=True, text=True)
        tag = wheel.stem.split("-")[-1]
        # libtorch, which no wheel may expect of a system, is the only thing besides what the tag allows.
        assert done.returncode == 0 and f'constrains the platform tag to "{tag}"' in done.stdout.replace("\n", " "), (
            done.stdout + done.stderr
        )


def test_the_source_archive_has_what_a_build_needs(tmp_path):
    archive = build("sdist", tmp_path / "dist", tmp_path)
    with tarfile.open(archive) as files:
        names = {name.split("/", 1)[1] for name in files.getnames()}
    for name in ("Cargo.toml", "Cargo.lock", "build.rs", "cbindgen.toml", "src/lib.rs", "src/bin/mem3d/main.rs",
                 "src/torch/torch_ext.cc", "include/mem3d.h", "models/compact.safetensors", "pyproject.toml",
                 "python/hatch_build.py", "python/mem3d/py.typed", "slicer-module/Mem3D/Mem3DLib/Native.py", "LICENSE"):
        assert name in names, name
    # Everything that the sources include at compile time lies in the archive.
    sources = [ROOT / name for name in names if name.endswith(".rs")]
    for source in sources:
        for included in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', source.read_text()):
            if "tests" not in source.parts:
                assert os.path.relpath(source.parent / included, ROOT) in names, (source, included)
    assert not [name for name in names if name.startswith(("tests/", "docs/", "target/"))]


def test_without_libtorch_the_error_names_what_to_install(wheel, tmp_path):
    bare = Environment(tmp_path / "bare", wheel, packages=False)
    (bare.site / "numpy.pth").write_text(str(tmp_path / "numpy here") + "\n")
    (tmp_path / "numpy here").mkdir()
    import numpy

    (tmp_path / "numpy here" / "numpy").symlink_to(Path(numpy.__file__).parent)
    # Wheels of numpy keep their libraries beside them.
    for libraries in Path(numpy.__file__).parents[1].glob("numpy.libs"):
        (tmp_path / "numpy here" / "numpy.libs").symlink_to(libraries)
    code = "import mem3d; mem3d.Model()"
    plain = bare.environ()
    plain.pop("LIBTORCH", None)

    def last(arguments, **variables):
        done = subprocess.run(
            [bare.folder / "bin" / arguments[0], *arguments[1:]], cwd=tmp_path, env={**plain, **variables},
            capture_output=True, text=True,
        )
        assert done.returncode == 1
        return done.stderr.strip().splitlines()[-1]

    for arguments in (["python", "-c", code], ["mem3d", "info"]):
        assert "python -m pip install torch==2.11.0" in last(arguments)
    other = tmp_path / "libtorch"
    (other / "lib").mkdir(parents=True)
    assert "has no lib/libtorch_cpu" in last(["mem3d", "info"], LIBTORCH=str(other))
    for name in ("so", "dylib"):
        (other / "lib" / f"libtorch_cpu.{name}").write_text("")
        (other / "lib" / f"libc10.{name}").write_text("")
    (other / "build-version").write_text("2.9.1+cpu\n")
    assert "needs libtorch 2.11, and LIBTORCH" in last(["mem3d", "info"], LIBTORCH=str(other))
    (other / "build-version").write_text("2.11.0+cpu\n")
    assert "libtorch cannot be opened" in last(["python", "-c", code], LIBTORCH=str(other))
    # An imported torch counts, whatever else is there.
    (tmp_path / "torch" / "lib").mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").write_text("")
    (tmp_path / "torch" / "version.py").write_text("__version__ = '2.10.0'\n")
    for name in ("so", "dylib"):
        (tmp_path / "torch" / "lib" / f"libtorch_cpu.{name}").write_text("")
    output = last(["python", "-c", "import torch; " + code], LIBTORCH=str(other), PYTHONPATH=str(tmp_path))
    assert "the imported torch" in output and "is 2.10.0" in output


@pytest.mark.parametrize("name", CHECKS)
def test_in_the_environment(environment, tmp_path, name):
    check = tmp_path / name
    check.write_bytes((Path(__file__).parent / "package" / name).read_bytes())
    data = ROOT / "examples" / "demo" / "data"
    done = environment.run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", check, cwd=tmp_path, MEM3D_DATA=str(data), **ONE
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_examples_of_the_docstrings(environment, tmp_path):
    code = (
        "import doctest, sys, mem3d\n"
        "from mem3d import _calls, _drawing, _model, _session\n"
        "results = [doctest.testmod(m) for m in (mem3d, _calls, _drawing, _model, _session, mem3d.dicom)]\n"
        "print(sum(r.attempted for r in results)); sys.exit(sum(r.failed for r in results))\n"
    )
    done = environment.run("python", "-c", code, cwd=tmp_path, **ONE)
    assert done.returncode == 0 and int(done.stdout) >= 12, done.stdout + done.stderr


def test_the_table_of_calls_lists_them_all(environment, tmp_path):
    section = (ROOT / "docs" / "python.md").read_text(encoding="utf-8").split("\n## Calls\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = [re.sub(r"^(mem3d|Session)\.", "", name) for cell in cells for name in re.findall(r"`([\w.]+)", cell)]
    code = (
        "import mem3d\n"
        "print(*(name for name in dir(mem3d.Session) if not name.startswith('_')))\n"
        "print(*(name for name in mem3d.__all__ if name[0].islower()), 'Model', 'Session')\n"
        "print(*('dicom.' + name for name in ('write_seg', 'convert') if callable(getattr(mem3d.dicom, name))))\n"
    )
    done = environment.run("python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0 and sorted(listed) == sorted(done.stdout.split()), done.stderr


def test_the_command_is_on_the_path(environment, tmp_path):
    done = environment.run("mem3d", "info", cwd=tmp_path)
    assert done.returncode == 0 and "compact" in done.stdout, done.stderr
    done = environment.run("mem3d", "volume", "nowhere.nrrd", "x.nrrd", cwd=tmp_path)
    assert done.returncode == 1 and "nowhere.nrrd" in done.stderr


def test_types_of_an_example(environment, tmp_path):
    example = tmp_path / "typed.py"
    example.write_bytes((Path(__file__).parent / "package" / "typed_example.py").read_bytes())
    arguments = ["-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "--python-executable", environment.python]
    done = subprocess.run([sys.executable, *arguments, example], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    # It notices a wrong type.
    example.write_text(example.read_text().replace('segment="liver"', "segment=1.5"))
    done = subprocess.run([sys.executable, *arguments, example], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "arg-type" in done.stdout, done.stdout + done.stderr
