"""The set-up script for Windows, which no test can run: its syntax, and that it does what tools/setup.sh does. What
the Makefile sets up before the tests in Python."""

import os
import re
import shutil
import subprocess

import pytest
from checkout import ROOT
from tree_sitter import Language, Parser

SHELL = (ROOT / "tools" / "setup.sh").read_text()
POWERSHELL = (ROOT / "tools" / "setup.ps1").read_text()


def tree(text):
    import tree_sitter_powershell

    return Parser(Language(tree_sitter_powershell.language())).parse(text.encode()).root_node


def nodes(node, kind):
    found = [node] if node.type == kind else []
    return found + [n for child in node.children for n in nodes(child, kind)]


def functions(names):
    """Names without the words and signs in which the two languages differ."""
    plain = [re.sub("[-_]|^get", "", name.lower()) for name in names]
    helpers = ("step", "note", "fail", "ask", "atleast")
    return [name for name in plain if name not in helpers]


@pytest.mark.parametrize("damage", ["", "}", "{", '"'])
def test_it_is_powershell(damage):
    script = tree(POWERSHELL + damage)
    assert script.has_error == bool(damage)


def test_windows_powershell_understands_it():
    # Version 5.1, which comes with Windows, has none of these; and it takes a file without a mark for ANSI.
    code = re.sub(r"<#.*?#>|#.*|\"(?:`.|[^\"`])*\"|'[^']*'", "", POWERSHELL, flags=re.DOTALL | re.MULTILINE)
    code = re.sub(r"#.*", "", code)
    assert not re.search(r"&&|\|\||\?\?|\?\.|-Parallel|\$Is(Windows|Linux|MacOS)", code)
    assert POWERSHELL.isascii()


def test_its_steps_are_those_of_the_shell_script():
    ours = [nodes(f, "function_name")[0].text.decode() for f in nodes(tree(POWERSHELL), "function_statement")]
    theirs = re.findall(r"^([a-z_]+)\(\)", SHELL, re.MULTILINE)
    assert len(functions(ours)) > 10 and functions(ours) == functions(theirs)
    # What runs, in its order.
    ours = re.findall(r"^(?:Step (.*)|((?:Check|Make|Link)-\w+))$", POWERSHELL, re.MULTILINE)
    theirs = re.findall(r"^(?:step (.*)|((?:check|make|link)_\w+))$", SHELL, re.MULTILINE)
    plain = [(text.lower().replace("$torch_version", "$torchversion"), *functions([name])) for text, name in ours]
    assert len(plain) > 6
    assert plain == [
        (text.lower().replace("$torch_version", "$torchversion"), *functions([name])) for text, name in theirs
    ]


def test_its_constants_are_those_of_the_shell_script():
    for name in ("TORCH_VERSION", "TORCH_SERIES", "DISK_MB"):
        theirs = re.search(rf"^{name}=(.*)$", SHELL, re.MULTILINE).group(1)
        ours = re.search(rf'^\${name.replace("_", "")} = "?([^"\n]*)"?$', POWERSHELL, re.MULTILINE | re.IGNORECASE)
        assert ours.group(1) == theirs
    # Every list of packages, and what it asks of Python and its PyTorch.
    files = {"requirements.txt", "requirements-package.txt"}
    assert set(re.findall(r"tools[\\/](requirements[\w-]*\.txt)", POWERSHELL)) == files
    ask = "import importlib.util as u; print(u.find_spec({0}torch{0}).submodule_search_locations[0])"
    assert ask.format('"') in SHELL and ask.format("'") in POWERSHELL


@pytest.mark.skipif(shutil.which("make") is None, reason="make is missing")
@pytest.mark.parametrize("target", ["test", "test-python"])
def test_make_installs_what_the_tests_in_python_need_once_and_first(target):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "-n", target], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    installs = [n for n, line in enumerate(lines) if "setup.sh --python-tests" in line]
    runs = [n for n, line in enumerate(lines) if line.endswith("-m pytest tests/python")]
    assert len(installs) == len(runs) == 1 and installs[0] < runs[0]
