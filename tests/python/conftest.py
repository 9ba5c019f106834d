"""Makes the modules in support/ and the Slicer module's library importable, and finds what cargo built."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from checkout import builtCommand, builtLibrary
from installed import Environment, build


@pytest.fixture(scope="session")
def library():
    """The shared library, loaded."""
    from Mem3DLib.Native import Library

    path = builtLibrary()
    if path is None:
        pytest.fail("libmem3d is not built; run: cargo build --release --lib")
    with Library(path) as library:
        yield library


@pytest.fixture(autouse=True)
def libraryOfSlicerTests(request, monkeypatch):
    """The module's test cases find the library as in Slicer: by MEM3D_LIBRARY."""
    if "test_slicer" in request.node.nodeid:
        path = builtLibrary()
        if path is None:
            pytest.fail("libmem3d is not built; run: cargo build --release --lib")
        monkeypatch.setenv("MEM3D_LIBRARY", str(path))


@pytest.fixture
def bench():
    """The effect in a Segment Editor off-screen; its engine runs in this process."""
    yield from benchOf("inProcess")


@pytest.fixture(params=["inProcess", "helper"])
def anyBench(request):
    """As bench, with either engine."""
    yield from benchOf(request.param)


def benchOf(engine):
    from effect_bench import Bench  # after headless.start() of a test's file

    bench = Bench(engine)
    yield bench
    bench.effect.cleanup()


@pytest.fixture(scope="session")
def command():
    """Runs the command; gives what it printed."""
    path = builtCommand()
    if path is None:
        pytest.fail("mem3d is not built; run: cargo build --release")

    def run(*arguments):
        done = subprocess.run([str(path), "--quiet", *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def refusal(command):
    """Runs the command, which has to fail; gives its message."""

    def run(*arguments):
        with pytest.raises(AssertionError) as failed:
            command(*arguments)
        return str(failed.value)

    return run


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of the package, built of what cargo built."""
    if builtLibrary() is None or builtCommand() is None:
        pytest.fail("mem3d is not built; run: cargo build --release")
    work = tmp_path_factory.mktemp("wheel")
    return build("wheel", work / "dist", work)


@pytest.fixture(scope="session")
def environment(wheel, tmp_path_factory):
    """A virtual environment outside of the source tree, with the wheel."""
    return Environment(tmp_path_factory.mktemp("environment") / "with blank", wheel)
