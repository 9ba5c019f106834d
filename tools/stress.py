"""Kills saves, batches and trainings while they write, again and again, and checks what is left.

    python tools/stress.py [--kills 50] [--only saves,batches,trainings] [--folder FOLDER]

After every kill (SIGKILL) the file in question is whole: a session restores, a training resumes. After the last one the
work is brought to its end; then the results are complete and nothing unfinished lies in the folders. Random weights, a
minute or a few for 50 kills of each kind. Exit status 1 when something was lost.
"""

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "python" / "support"), str(ROOT / "slicer-module" / "Mem3D")]

import numpy as np
from checkout import builtCommand, builtLibrary
from Mem3DLib import Native

HEAD = "NRRD0005\ntype: short\ndimension: 3\nsizes: 40 48 12\nspacings: 1 1 3\nendian: little\nencoding: raw\n\n"
PROMPTS = '{"interactions": [{"kind": "scribble", "points": [[6, 18, 14], [6, 24, 20], [6, 30, 26]]}]}'
SAVER = """
import sys
sys.path.insert(0, {module!r})
import numpy as np
from Mem3DLib.Native import AXIS_DEPTH, Library
library = Library({library!r})
library.setThreadCount(1)
model = library.randomModel(seed=1, device="cpu")
with model.openSession(np.load({volume!r})) as session:
    for round in range(10**9):
        session.setSliceMask(1, AXIS_DEPTH, round % 12, np.full((48, 40), round % 3 > 0))
        session.save({path!r})
        print(round, flush=True)
"""


def ball():
    z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
    return np.where(x * x + y * y + z * z < 144, 300, 0).astype("<i2")


def unfinished(folder):
    return sorted(str(path) for path in Path(folder).rglob(".mem3d-*"))


def check(good, text):
    if not good:
        sys.exit("LOST: " + text)


def saves(folder, kills):
    path, volume = str(folder / "s.m3s"), str(folder / "v.npy")
    np.save(volume, ball())
    library = Native.Library(str(builtLibrary()))
    library.setThreadCount(1)
    code = SAVER.format(
        module=str(ROOT / "slicer-module" / "Mem3D"), library=str(builtLibrary()), volume=volume, path=path
    )
    with library.randomModel(seed=1, device="cpu") as model, model.openSession(ball()) as session:
        for _ in range(kills):
            child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
            check(child.stdout.readline(), "a process cannot save")  # the first save is done
            time.sleep(random.uniform(0, 0.05))
            child.kill()
            child.communicate()
            session.restore(path)
            check(session.segments() == [1], "the session has no segment")
        session.save(path)
        time.sleep(1.1)  # folders are searched once a second
        session.save(path)
    check(not unfinished(folder), "left over: %s" % unfinished(folder))


def batches(folder, kills):
    count = 6
    (folder / "ct.nrrd").write_bytes(HEAD.encode() + ball().tobytes())
    (folder / "p.json").write_text(PROMPTS)
    rows = ["ct.nrrd,p.json,out/%d.nii.gz" % n for n in range(count)]
    (folder / "cases.csv").write_text("\n".join(["volume,prompts,output", *rows]) + "\n")
    command = [str(builtCommand()), "-q", "batch", "cases.csv", "--model", "random", "--threads", "1"]

    def start(*more):
        return subprocess.Popen([*command, *more], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    started = time.monotonic()
    whole = start()
    check(whole.wait() == 0, "the batch fails: %s" % whole.stderr.read().decode())
    seconds = time.monotonic() - started
    expected = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    check(len(expected) == count, "%d results" % len(expected))
    for n in range(kills):
        # Two batches at a time, and every tenth time everything anew.
        running = [start(*(["--force"] if n % 10 == 0 else [])), start()]
        time.sleep(random.uniform(0, seconds))
        for child in running:
            child.kill()
            child.communicate()
        for path in (folder / "out").glob("[0-9]*"):
            check(path.read_bytes() == expected[path.name], "%s is not whole" % path)
        if (folder / "cases.results.csv").exists():
            with open(folder / "cases.results.csv", newline="") as file:
                check(len(list(csv.DictReader(file))) <= count, "rows of no case")
    last = start("--force")
    check(last.wait() == 0, "the batch does not end: %s" % last.stderr.read().decode())
    with open(folder / "cases.results.csv", newline="") as file:
        states = [row["status"] for row in csv.DictReader(file)]
    check(states == ["done"] * count, "results: %s" % states)
    check({path.name: path.read_bytes() for path in (folder / "out").iterdir()} == expected, "other results or litter")
    check(not unfinished(folder), "left over: %s" % unfinished(folder))


def trainings(folder, kills):
    small = '{"channels": [8, 8, 16, 16], "groups": 4, "key_channels": 8, "value_channels": 16}'
    (folder / "small.json").write_text(small)
    clips = "--config small.json --size 32 --batch 1 --clip 3 --scene-side 32 --scenes 1".split()
    times = "--checkpoint-every 0.3s --log-every 0.3s --score-every 9h --held-out 1".split()
    command = [str(builtCommand()), "-q", "train", "--out", "run", "--stages", "memory", "--steps", "1000000"]
    command += [*times, "--workers", "1", "--threads", "1"]
    checkpoint = folder / "run" / "checkpoint.safetensors"
    for _ in range(kills):
        resume = ["--resume"] if checkpoint.exists() else clips
        child = subprocess.Popen([*command, *resume], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        # A resumed training works, since it writes a checkpoint of its own.
        while child.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
            time.sleep(0.01)
        if child.poll() is not None:
            check(False, "the training ended: %s" % child.stderr.read().decode())
        time.sleep(random.uniform(0, 0.5))
        child.send_signal(signal.SIGKILL)
        child.communicate()
    export = [str(builtCommand()), "-q", "train", "--out", "run", "--export", "m.safetensors", "--force"]
    done = subprocess.run([*export, "--licence", "none", "--provenance", "stress"], cwd=folder, capture_output=True)
    check(done.returncode == 0, "no model of the last checkpoint: %s" % done.stderr.decode())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", default="saves,batches,trainings")
    parser.add_argument("--folder", help="where the work is done [default: a temporary folder]")
    arguments = parser.parse_args()
    random.seed(1)
    os.environ.pop("MEM3D_MODEL", None)
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.only.split(","):
            folder = Path(arguments.folder or temporary).resolve() / name
            folder.mkdir(parents=True, exist_ok=True)
            start = time.monotonic()
            {"saves": saves, "batches": batches, "trainings": trainings}[name](folder, arguments.kills)
            print("%s: %d kills, nothing lost, %.0f s" % (name, arguments.kills, time.monotonic() - start), flush=True)


if __name__ == "__main__":
    main()
