"""The Slicer module's source: short files, for Python 3.9 (Slicer 5.8) on, importing what Slicer has."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[2] / "slicer-module" / "Mem3D"


def test_files_are_short_and_for_python_3_9():
    tests = [path for path in Path(__file__).parent.rglob("*.py") if "slicer" in path.name]
    for path in sorted([*MODULE.parent.rglob("*.py"), *MODULE.rglob("*.ui"), *tests]):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            ast.parse(text, feature_version=(3, 9))
        limit = 100 if path.name == "Mem3D.py" else 400
        assert len(text.splitlines()) <= limit, path


def test_it_runs_on_python_3_9(library, tmp_path):
    """What needs no Slicer, on the Python of Slicer 5.8: the binding, both engines and a try of the installation."""
    python = os.environ.get("MEM3D_PYTHON39") or shutil.which("python3.9")
    tried = subprocess.run([python or "", "-c", "import numpy"], capture_output=True, check=False) if python else None
    if tried is None or tried.returncode != 0:
        pytest.skip("there is no Python 3.9 with numpy; MEM3D_PYTHON39 may name one")
    script = tmp_path / "try.py"
    script.write_text(
        "import sys\n"
        "sys.path.insert(0, %r)\n"
        "from Mem3DLib.SelfTest import tryEngine\n"
        "from Mem3DLib.Settings import Settings\n"
        "import Mem3DLib.SessionKeeper, Mem3DLib.Worker\n"
        "if __name__ == '__main__':\n"
        "    dices = [tryEngine(Settings('random:1', %r, 'cpu', mode=mode)).dice for mode in ('inProcess', 'helper')]\n"
        "    assert sys.version_info[:2] == (3, 9) and dices[0] == dices[1] > 0, dices\n"
        % (str(MODULE), str(library.path))
    )
    done = subprocess.run([python, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


TRY = """
import sys
sys.path.insert(0, %r)
from Mem3DLib.SelfTest import tryEngine
from Mem3DLib.Settings import Settings
if __name__ == "__main__":
    for mode in ("inProcess", "helper"):
        assert tryEngine(Settings("", %r, "cpu", threads=1, mode=mode)).dice > 0.8
"""


def test_it_works_without_a_network_and_asks_for_none(library, tmp_path):
    """Both engines with the shipped model, where there is no network: no socket is opened, but between processes."""
    script = tmp_path / "try.py"
    script.write_text(TRY % (str(MODULE), str(library.path)))
    alone = ["unshare", "--map-root-user", "--net"]
    tried = subprocess.run([*alone, "true"], capture_output=True, check=False) if shutil.which("unshare") else None
    if tried is None or tried.returncode != 0:
        pytest.skip("a process without a network cannot be made here")
    watched, log = [], tmp_path / "calls"
    if shutil.which("strace"):
        watched = ["strace", "--follow-forks", "--seccomp-bpf", "--trace=socket,connect", "--output=%s" % log]
        if subprocess.run([*alone, *watched, "true"], capture_output=True, check=False).returncode != 0:
            watched = []
    done = subprocess.run([*alone, *watched, sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    calls = log.read_text().splitlines() if watched else []
    connections = [call for call in calls if ("socket(" in call or "connect(" in call) and "AF_UNIX" not in call]
    assert not connections, connections


def test_only_what_slicer_has_is_imported_at_file_scope():
    allowed = {"slicer", "vtk", "qt", "numpy", "SegmentEditorEffects", "Mem3DLib", "Mem3DTesting"}
    for path in sorted(MODULE.rglob("*.py")):
        if path.name in ("render.py", "run.py"):  # run by hand, not by Slicer's module loader
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = []
            if isinstance(node, ast.Import):
                names = [n.name for n in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                assert top in allowed or top in sys.stdlib_module_names, (path, name)
