"""The notebook and README's first example, with the installed package and outside of the source tree."""

import json
import shutil

import pytest
from checkout import ROOT

RUN = """
import nbclient, nbformat
notebook = nbformat.read("segment_a_ct.ipynb", 4)
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, "done.ipynb")
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with the examples and nothing else of the checkout."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def test_the_notebook_runs(environment, folder):
    variables = {"OMP_NUM_THREADS": "1", "HOME": str(folder)}
    done = environment.run("python", "-c", RUN, cwd=folder / "examples", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = json.loads((folder / "examples" / "done.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5
    text = "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")
    dice = [float(line.split("Dice ")[1].split()[0]) for line in text.splitlines() if "Dice" in line]
    # The figures of the default model stand in the notebook; another model may differ, and has to gain all the same.
    assert len(dice) == 3 and dice[0] > 0.7 and dice[2] > dice[0]
    # What the repository shows is the result of a run, with its pictures.
    shown = json.loads((ROOT / "examples" / "segment_a_ct.ipynb").read_text())["cells"]
    assert [cell["source"] for cell in shown] == [cell["source"] for cell in cells]
    assert sum("image/png" in o.get("data", {}) for cell in shown for o in cell.get("outputs", [])) == 5


def test_the_first_example_of_the_readme_runs(environment, folder):
    example = folder / "examples" / "python" / "first.py"
    done = environment.run("python", example, cwd=folder, OMP_NUM_THREADS="1")
    assert done.returncode == 0 and "Suggestion(segment='Segment 1', axis=0" in done.stdout, done.stderr
    import nibabel

    mask, ct = nibabel.load(folder / "tumour.nii.gz"), nibabel.load(ROOT / "examples/demo/data/sts_ct_012.nii.gz")
    assert mask.shape == ct.shape and (mask.affine == ct.affine).all()
    # Voxel [depth 26, height 78, width 80] is in the middle of what was drawn.
    assert mask.dataobj[80, 78, 26] == 1 and mask.dataobj[0, 0, 26] == 0


def test_the_command_of_the_readme_runs_as_written(environment, folder):
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("mem3d segment ")]
    assert len(lines) == 1
    done = environment.run(*lines[0].split(), cwd=folder)
    assert done.returncode == 0 and "correct slice" in done.stdout, done.stderr
    assert (folder / "tumour.seg.nrrd").stat().st_size > 0
