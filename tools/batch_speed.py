"""Measures `mem3d batch`: volumes an hour against processes, as a table for docs/cluster.md.

    python tools/batch_speed.py [--volumes 8] [--slices 100] [--threads N] [--jobs 1,2] [--folder FOLDER]

The volumes are synthetic CTs of 512 x 512 pixels a slice, gzipped, with a box drawn on the middle slice of a target
that reaches over four fifths of the slices. The settings are measured one after the other, all in the same run. Another
program that runs meanwhile makes volumes an hour fewer; the processor time of a volume hardly changes.
"""

import argparse
import csv
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "python" / "support")]

import numpy as np
from checkout import builtCommand

SIDE = 512
PROMPTS = '{"interactions": [{"kind": "box", "points": [[%d, 196, 196], [%d, 316, 316]]}]}'


def write_cases(folder, volumes, slices):
    z, y, x = np.ogrid[-1 : 1 : slices * 1j, :SIDE, :SIDE]
    inside = ((y - 256) / 58) ** 2 + ((x - 256) / 58) ** 2 + (z / 0.8) ** 2 < 1
    noise = np.random.default_rng(1).normal(0, 20, (slices, SIDE, SIDE))
    voxels = (np.where(inside, 120, 20) + noise).astype("<i2")
    head = "NRRD0005\ntype: short\ndimension: 3\nsizes: %d %d %d\nendian: little\nspace: left-posterior-superior\n"
    head += "space directions: (0.8,0,0) (0,0.8,0) (0,0,3)\nspace origin: (0,0,0)\n"
    first = folder / "ct_0.nrrd"
    head = (head % (SIDE, SIDE, slices) + "encoding: gzip\n\n").encode()
    first.write_bytes(head + gzip.compress(voxels.tobytes(), 1))
    for n in range(volumes):
        if n:
            os.link(first, folder / f"ct_{n}.nrrd")
        (folder / f"ct_{n}.prompts.json").write_text(PROMPTS % (slices // 2, slices // 2))
    return first.stat().st_size


def measure(folder, volumes, threads, jobs):
    """Seconds of a batch, its processor seconds, and the largest memory of a process, MB."""
    command = [str(builtCommand()), "--quiet", "batch", str(folder), "--force", "--threads", str(threads)]
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "--jobs", str(jobs)], check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with open(folder / "segmentations" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == volumes and all(row["status"] == "done" for row in rows)
    return seconds, processor, max(float(row["peak_memory_mb"] or 0) for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--volumes", type=int, default=8)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of all processes together")
    parser.add_argument("--jobs", default="1,2", help="numbers of processes to measure")
    parser.add_argument("--folder", help="where the volumes are written [default: a temporary folder]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        size = write_cases(Path(temporary), given.volumes, given.slices)
        print(f"{given.volumes} volumes of {SIDE} x {SIDE} x {given.slices}, {size / 1e6:.0f} MB each\n")
        print("| processes | threads of each | volumes an hour | processor time of a volume | memory of a process |")
        print("|---|---|---|---|---|")
        for jobs in map(int, given.jobs.split(",")):
            seconds, processor, peak_mb = measure(Path(temporary), given.volumes, given.threads, jobs)
            each_hour, each = given.volumes * 3600 / seconds, processor / given.volumes
            threads = max(given.threads // jobs, 1)
            print(f"| {jobs} | {threads} | {each_hour:.0f} | {each:.1f} s | {peak_mb:.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
