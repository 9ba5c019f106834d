"""The ctypes structs have the sizes and offsets that a C compiler gives them, and no hidden padding."""

import ast
import ctypes
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from Mem3DLib import Native, NativeTypes

ROOT = Path(__file__).parents[2]
HEADER = (ROOT / "include" / "mem3d.h").read_text()


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    program = tmp_path_factory.mktemp("layout") / "print_layout"
    source = ROOT / "tests" / "capi" / "print_layout.c"
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-std=c11", "-I", ROOT / "include", source, "-o", program], check=True)
    return json.loads(subprocess.run([program], check=True, capture_output=True, text=True).stdout)


def test_every_struct_of_the_header_is_checked(layout):
    inHeader = set(re.findall(r"^} (mem3d_\w+);", HEADER, re.MULTILINE))
    assert set(layout) == inHeader
    inPython = {name for name, value in vars(NativeTypes).items() if name.startswith("mem3d_") and isStruct(value)}
    assert inPython == inHeader


def isStruct(value):
    return isinstance(value, type) and issubclass(value, ctypes.Structure)


def test_sizes_and_offsets_are_those_of_c(layout):
    for name, expected in layout.items():
        struct = getattr(NativeTypes, name)
        got = {"sizeof": ctypes.sizeof(struct)}
        got.update((field[0], getattr(struct, field[0]).offset) for field in struct._fields_)
        assert got == expected, name


def test_structs_have_no_padding(layout):
    for name in layout:
        struct = getattr(NativeTypes, name)
        end = 0
        for field, *_ in struct._fields_:
            descriptor = getattr(struct, field)
            assert descriptor.offset == end, "%s.%s" % (name, field)
            end += descriptor.size
        assert end == ctypes.sizeof(struct), name


def test_numbers_are_those_of_the_header():
    def value(name):
        return int(re.search(r"\b%s = (\d+)," % name, HEADER).group(1))

    for python, c in [
        ("SCRIBBLE", "MEM3D_INTERACTION_KIND_SCRIBBLE"),
        ("BOX", "MEM3D_INTERACTION_KIND_BOX"),
        ("EXTREME_POINTS", "MEM3D_INTERACTION_KIND_EXTREME_POINTS"),
        ("CLICK", "MEM3D_INTERACTION_KIND_CLICK"),
        ("UP", "MEM3D_DIRECTION_UP"),
        ("DOWN", "MEM3D_DIRECTION_DOWN"),
        ("PRESET_PAPER", "MEM3D_PRESET_PAPER"),
        ("PRECISION_F16", "MEM3D_PRECISION_F16"),
        ("LOG_TRACE", "MEM3D_LOG_LEVEL_TRACE"),
    ]:
        assert getattr(Native, python) == value(c), python
    assert value("MEM3D_AXIS_LAST_DRAWN") == 0
    for array, name in enumerate(("DEPTH", "HEIGHT", "WIDTH")):  # Python counts axes as numpy does, C from 1
        assert getattr(Native, "AXIS_" + name) == array
        assert value("MEM3D_AXIS_" + name) == array + 1
    names = {"uint": "U", "int": "I", "float": "F"}
    for dtype, number in Native.SCALAR_TYPES.items():
        kind, bits = re.fullmatch(r"([a-z]+)(\d+)", dtype).groups()
        assert value("MEM3D_SCALAR_TYPE_%s%s" % (names[kind], bits)) == number
    statuses = dict(re.findall(r"MEM3D_STATUS_(\w+) = (\d+),", HEADER))
    assert {int(n) for n in statuses.values()} - {0} == set(Native.ERRORS)


def test_functions_are_those_of_the_header():
    declared = re.findall(r"MEM3D_API\s+[^;]*?\b(mem3d_\w+)\(([^;]*?)\);", HEADER)
    assert {name for name, _ in declared} == set(NativeTypes.FUNCTIONS)
    for name, parameters in declared:
        count = 0 if parameters.strip() == "void" else parameters.count(",") + 1
        assert len(NativeTypes.FUNCTIONS[name]) == count, name


def test_the_binding_is_python_3_9_and_free_of_slicer():
    imported = set()
    for path in Path(Native.__file__).parent.glob("Native*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        imported |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        imported |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imported == {"ctypes", "os", "sys", "collections", "numpy", "NativeErrors", None}
