"""The C example's session (examples/demo: an interaction and two corrected slices on the bundled CT, with the shipped
model), done in Slicer instead: the segment holds the same voxels after each round, and the same slices are
suggested."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

from Mem3DLib.Editors import openEditor
from Mem3DLib.Native import BOX, CLICK, EXTREME_POINTS, SCRIBBLE
from Mem3DLib.Segments import Lattice
from Mem3DLib.SessionLogic import SessionLogic
from Mem3DLib.Settings import Settings
from Mem3DTesting import addSegmentation, setVoxels, voxels

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo"
MODEL = ROOT / "models" / "compact.safetensors"
KINDS = {"scribble": SCRIBBLE, "box": BOX, "extreme_points": EXTREME_POINTS, "click": CLICK}
COMPILER = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


def read(path):
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", path.name.split(".")[0])
    assert storage.ReadData(node)
    return node


@pytest.fixture(scope="module")
def interaction():
    return json.loads((DEMO / "data" / "prompts.json").read_text())["interactions"][0]


@pytest.fixture(scope="module")
def example(tmp_path_factory, library, command, interaction):
    """The folder that the example wrote, with the volume and the reference that it read."""
    if COMPILER is None:
        pytest.skip("there is no C++ compiler")
    out = tmp_path_factory.mktemp("demo")
    for name, written in (("sts_ct_012", "volume"), ("sts_ct_012_label", "reference")):
        command("volume", DEMO / "data" / (name + ".nii.gz"), out / (written + ".nrrd"))
    abi = re.search(r"#define MEM3D_ABI_VERSION (\d+)", (ROOT / "include" / "mem3d.h").read_text())[1]
    # Programs look for the library under the name that carries its interface's number.
    built = Path(library.path).resolve()
    linked = out / (("libmem3d.%s.dylib" if built.suffix == ".dylib" else "libmem3d.so.%s") % abi)
    linked.symlink_to(built)
    program = out / "mem3d-demo"
    make = [COMPILER, "-std=c++17", "-O1", "-I", ROOT / "include", DEMO / "demo.cpp", "-o", program]
    make += [built, "-Wl,-rpath,%s" % out]
    subprocess.run([str(part) for part in make], check=True)
    points = [",".join(map(str, point)) for point in interaction["points"]]
    start = [program, out / "volume.nrrd", out / "reference.nrrd", out, MODEL]
    start += [interaction["axis"], interaction["slice"], interaction["kind"]]
    # One thread here and below: sums in another order would be other numbers, in the last digits.
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    command_line = [str(part) for part in start] + points
    done = subprocess.run(command_line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("mode", ["inProcess", "helper"])
def test_the_c_examples_session_in_slicer(example, interaction, mode):
    slicer.mrmlScene.Clear()
    volume, reference = read(example / "volume.nrrd"), read(example / "reference.nrrd")
    correct = slicer.util.arrayFromVolume(reference) != 0
    segmentation = addSegmentation(volume, ("target",))
    editor = openEditor(volume, segmentation)
    axis = interaction["axis"]
    recorded = json.loads((example / "session.json").read_text())
    suggested = []
    with SessionLogic(editor, Settings(modelPath=str(MODEL), device="cpu", threads=1, mode=mode)) as logic:
        grid = Lattice(editor.sourceImage(), segmentation).grid
        for number in (1, 2, 3):
            if number == 1:
                logic.interact(KINDS[interaction["kind"]], grid.indexToRas(interaction["points"]), axis=axis)
            else:  # painted over, as with Slicer's Paint and Erase
                at = [slice(None)] * 3
                at[axis] = suggested[-1]
                painted = voxels(segmentation, "target", volume)
                painted[tuple(at)] = correct[tuple(at)]
                setVoxels(segmentation, "target", volume, painted)
            logic.propagate(axis=axis)
            logic.apply()
            expected = slicer.util.arrayFromVolume(read(example / ("round-%d.nrrd" % number))) != 0
            assert expected.any()
            differing = np.count_nonzero(voxels(segmentation, "target", volume) != expected)
            assert differing == 0, (number, differing, np.count_nonzero(expected))
            suggested.append(logic.state().suggestion.slice)
        quality = logic.state().quality[axis]
        annotated = logic.state().annotated[axis]
    assert (recorded["suggested"], recorded["annotated"]) == (suggested, annotated)
    np.testing.assert_allclose(quality, recorded["quality"], atol=1e-4)
