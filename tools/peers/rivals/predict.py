"""Answers the rounds that mem3d evaluate --record wrote, with a trained rival.

    python -m rivals.predict ROUNDS RUN [RUN ...]

--rounds 1,3,6 asks a rival after these rounds only: in the others its last answer stays, with the annotated slices in
it, and its seconds are 0. Writes `TOOL.round_N.npy` and `TOOL.json` as tools/peers/run.py does, and `TOOL.memory`: the
largest resident memory of this process during the target's rounds, MB (Linux). TOOL is the rival with its size, as
`unet3d_small`. A rival receives the recorded region and the masks of the annotated slices, like the classical tools.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from peak_memory import peak_mb, reset_peak

from . import models
from .grid import Grid
from .interactions import Session


class Trained:
    """A rival with the averaged weights of a run."""

    def __init__(self, run):
        path = Path(run) / "checkpoint.pt"
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; train it first: python -m rivals.train ... --out {run}")
        state = torch.load(path, weights_only=True)
        self.name = "{rival}_{size}".format(**state["options"])
        self.rival = models.build(state["options"]["rival"], state["options"]["size"]).eval()
        self.rival.load_state_dict(state["average"])


def answer_folder(folder, trained, asked=None):
    """Answers the rounds of one recorded drawing, or those in `asked`; a folder that is done is left as it is."""
    done = folder / f"{trained.name}.json"
    if done.exists():
        return False
    run = json.loads((folder / "run.json").read_text())
    image = np.load(folder / "image.npy")
    reset_peak()
    # What serves all rounds counts to the first one, as in mem3d.
    start = time.perf_counter()
    grid = Grid(image.shape, run["spacing_mm"], run["axis"])
    session = Session(grid.image(image), grid.spacing_mm)
    seconds = []
    for this in run["rounds"]:
        masks = np.load(folder / f"round_{this['round']}.npy") > 0
        answered = asked is None or this["round"] in asked
        if answered:
            session.annotated = grid.annotated(this["slices"], masks)
            found = grid.back(models.answer(trained.rival, session)).astype(np.uint8)
        # Annotated slices stay, as in mem3d.
        along = np.moveaxis(found, grid.axis, 0)
        for k, mask in zip(this["slices"], masks, strict=True):
            along[k] = mask
        seconds.append(time.perf_counter() - start if answered else 0.0)
        np.save(folder / f"{trained.name}.round_{this['round']}.npy", np.ascontiguousarray(found))
        start = time.perf_counter()
    (folder / f"{trained.name}.memory").write_text(f"{peak_mb():.1f}\n")
    part = folder / f"{trained.name}.part"
    part.write_text(json.dumps(seconds))
    os.replace(part, done)
    return True


def words_of(text):
    """The words of a list with commas."""
    return text.split(",")


def numbers_of(text):
    """The whole numbers of a list with commas, and 1."""
    return {1, *(int(word) for word in words_of(text))}


def main(words=None):
    parser = argparse.ArgumentParser(prog="rivals.predict", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what mem3d evaluate --record wrote")
    parser.add_argument("runs", type=Path, nargs="+", help="runs of rivals.train")
    parser.add_argument("--drawings", type=words_of, help="only these, as scribble,box; default: all recorded ones")
    parser.add_argument("--rounds", type=numbers_of, help="only after these rounds and the first, as 1,3,6")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args(words)
    torch.set_num_threads(arguments.threads)
    folders = sorted(path.parent for path in arguments.folder.glob("*/*/run.json"))
    if not folders:
        parser.error(f"{arguments.folder} holds no recorded rounds; run mem3d evaluate with --record first")
    if arguments.drawings is not None:
        unknown = sorted(set(arguments.drawings) - {folder.name for folder in folders})
        if unknown:
            parser.error(f"{arguments.folder} holds no drawing {unknown[0]!r}")
        folders = [folder for folder in folders if folder.name in arguments.drawings]
    for run in arguments.runs:
        trained = Trained(run)
        for n, folder in enumerate(folders, 1):
            if answer_folder(folder, trained, arguments.rounds):
                print(f"[{n}/{len(folders)}] {folder.parent.name} {folder.name} {trained.name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
