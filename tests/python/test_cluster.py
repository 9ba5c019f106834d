"""The examples for clusters on this machine: the script of a Slurm array as bash runs it, Snakemake with local cores,
Dask with two processes.

The last two need .venv-cluster, which `make try-cluster` makes.
"""

import csv
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from checkout import ROOT, builtCommand

CLUSTER = ROOT / "examples" / "cluster"
PROGRAMS = ROOT / ".venv-cluster" / "bin"
HEAD = "NRRD0005\ntype: short\ndimension: 3\nsizes: 40 48 12\nspacings: 1 1 3\nendian: little\nencoding: raw\n\n"
PROMPTS = '{"interactions": [{"kind": "scribble", "points": [[6, 18, 14], [6, 24, 20], [6, 30, 26]]}]}'
CASES = 5
SHARDS = 3
# Nothing of the machine's own Slurm, and random weights.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "MEM3D_"))}
ENVIRONMENT["MEM3D_MODEL"] = "random:1"


@pytest.fixture
def program():
    path = builtCommand()
    if path is None:
        pytest.fail("mem3d is not built; run: cargo build --release")
    return str(Path(path).resolve())


@pytest.fixture
def folder(tmp_path):
    """A list of cases, in a folder whose name has a blank."""
    folder = tmp_path / "many volumes"
    folder.mkdir()
    z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
    ball = np.where(x * x + y * y + z * z < 144, 300, 0).astype("<i2")
    (folder / "ct.nrrd").write_bytes(HEAD.encode() + ball.tobytes())
    (folder / "p.json").write_text(PROMPTS)
    rows = ["ct.nrrd,p.json,out/%d.nii.gz" % n for n in range(CASES)]
    (folder / "cases.csv").write_text("\n".join(["volume,prompts,output", *rows]) + "\n")
    return folder


def run(folder, *arguments, **variables):
    return subprocess.run(
        [str(word) for word in arguments], cwd=folder, env={**ENVIRONMENT, **variables}, capture_output=True,
        text=True, check=False, timeout=1200,
    )


def clusterProgram(name):
    if not (PROGRAMS / name).exists():
        pytest.skip(f"there is no .venv-cluster/bin/{name}: make try-cluster")
    return PROGRAMS / name


def shardTables(folder):
    return sorted(path.name for path in folder.glob("cases.results.shard-*.csv"))


def checkAll(folder):
    """Every case is done once, in the tables of the shards and in the joined one."""
    expected = ["cases.results.shard-%d-of-%d.csv" % (k, SHARDS) for k in range(1, SHARDS + 1)]
    assert shardTables(folder) == expected
    counts = {}
    for name in ["cases.results.csv", *expected]:
        with open(folder / name, newline="") as file:
            rows = list(csv.DictReader(file))
        assert all(row["status"] == "done" for row in rows), name
        counts[name] = len(rows)
    assert counts.pop("cases.results.csv") == CASES and sum(counts.values()) == CASES, counts
    assert len(list((folder / "out").iterdir())) == CASES
    assert len({path.read_bytes() for path in (folder / "out").iterdir()}) == 1


def test_the_script_of_a_slurm_array(program, folder):
    def task(number, **variables):
        slurm = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_CPUS_PER_TASK": "2", "SHARDS": str(SHARDS)}
        return run(folder, "bash", CLUSTER / "slurm.sh", "cases.csv", MEM3D=program, **{**slurm, **variables})

    for number in (1, 2):
        done = task(number)
        assert done.returncode == 0 and "jobs at a time with 1 thread each" in done.stderr, done.stderr
    # A task is missing, then one too many is submitted.
    done = task(1, MERGE="1")
    assert done.returncode == 1 and done.stdout.rstrip().endswith("mem3d batch cases.csv --shard 3/3"), done.stdout
    done = task(4)
    assert done.returncode == 2 and "no shard 4: they are numbered from 1 to 3" in done.stderr, done.stderr
    assert task(3).returncode == 0 and task(1, MERGE="1").returncode == 0
    checkAll(folder)
    # Outside of an array.
    variables = {"MEM3D": program, "SHARDS": "3"}
    done = run(folder, "bash", CLUSTER / "slurm.sh", "cases.csv", **variables)
    assert done.returncode == 2 and "SLURM_ARRAY_TASK_ID is not set" in done.stderr, done.stderr


def test_the_slurm_script_has_as_many_tasks_as_shards():
    text = (CLUSTER / "slurm.sh").read_text()
    assert "#SBATCH --array=1-20\n" in text and "${SHARDS:-20}" in text
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", CLUSTER / "slurm.sh"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_snakemake_with_local_cores(program, folder):
    snakemake = [clusterProgram("snakemake"), "-s", CLUSTER / "Snakefile", "--cores", "2", "--config"]
    config = ["cases=cases.csv", f"shards={SHARDS}", f"mem3d={program}"]
    done = run(folder, *snakemake, *config, "options=--stop-after-empty 2")
    assert done.returncode == 0, done.stderr
    checkAll(folder)
    assert sorted(path.name for path in (folder / "mem3d-marks").iterdir()) == [
        "merged-3", *("shard-%d-of-3" % k for k in range(1, 4))
    ]
    # A shard that fails leaves its marks and the merge out; its table stays, and the next run goes on from it.
    shutil.rmtree(folder / "mem3d-marks")
    (folder / "out" / "0.nii.gz").unlink()
    (folder / "ct.nrrd").rename(folder / "away.nrrd")
    failed = run(folder, *snakemake, *config, "options=--stop-after-empty 2")
    assert failed.returncode != 0 and len(shardTables(folder)) == SHARDS
    assert not (folder / "mem3d-marks" / "merged-3").exists()
    (folder / "away.nrrd").rename(folder / "ct.nrrd")
    done = run(folder, *snakemake, *config, "options=--stop-after-empty 2")
    assert done.returncode == 0, done.stderr
    checkAll(folder)


def test_dask_with_two_processes(program, folder):
    dask = [clusterProgram("python"), CLUSTER / "dask_batch.py", "cases.csv", "--shards", SHARDS, "--workers", "2"]
    done = run(folder, *dask, "--mem3d", program, "--", "--stop-after-empty", "2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sorted(lines[:-1]) == ["shard %d/3: done" % k for k in range(1, 4)] and lines[-1] == "cases.results.csv"
    checkAll(folder)
    # The merge refuses what was made with other options, with exit status 1.
    merge = run(folder, program, "batch", "cases.csv", "--merge")
    assert merge.returncode == 1 and merge.stdout.count("made with other options") == CASES, merge.stdout
    (folder / "p.json").unlink()
    done = run(folder, *dask, "--mem3d", program, "--", "--stop-after-empty", "2")
    assert done.returncode == 1 and done.stdout.count(": failed\n") == SHARDS, done.stdout
    assert "p.json" in done.stderr, done.stderr
