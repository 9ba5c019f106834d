"""Trains a rival of the paper on simulated sessions.

    python -m rivals.train unet3d --size small --data FOLDER --exclude FILE --minutes 120 --out RUN

A session draws a target's region, annotates a slice, answers, annotates the slice with most wrong voxels, and so on, up
to six slices; every answer is one update of the weights. RUN holds `checkpoint.pt`, `log.csv` and, at the end,
`held_out.json`. Ctrl-C or --time-limit end a piece after the present session; the same command goes on.
Minutes are those of the processor, so that other programs beside it cost no training.
"""

import argparse
import copy
import csv
import dataclasses
import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceCELoss

from . import models
from .data import Folder, Sampler, read_exclude, sample_as_recorded
from .grid import MOST
from .interactions import Session, damaged, first_slice, next_slice

# Most annotated slices of a session: the rounds of the paper.
ROUNDS = 6
# Share of the annotated slices with a damaged mask, as mem3d trains its memory stage.
DAMAGED = 0.5
# Optimiser: mem3d's recipe, with a larger rate for fewer updates (docs/training.md).
WARM_UP, WEIGHT_DECAY, CLIP = 0.03, 0.01, 3.0
# Decay of the moving average of the weights; a short average, since there are few updates. Chosen.
AVERAGE = 0.99
# Each network's first share of its time goes to samples of half the resolution, which cost an eighth. Chosen.
COARSE_SHARE, COARSE = 0.75, tuple(n // 2 for n in MOST)
# Targets of the held-out score, at most. Chosen.
MOST_HELD_OUT = 12


@dataclasses.dataclass
class Options:
    """What determines a training; stored in its checkpoint."""

    rival: str
    size: str
    data: str
    synthetic: str | None = None
    exclude: str | None = None
    real_share: float = 0.7
    learning_rate: float = 1e-3
    # Length of the training over all pieces: minutes of processor time (all threads), or sessions if they are given.
    minutes: float = 120.0
    sessions: int | None = None
    seed: int = 1


def dice(a, b):
    """Dice coefficient of two masks; 1 when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


class Trainer:
    """A training that can be stopped after any session."""

    def __init__(self, options, sampler):
        torch.manual_seed(options.seed)
        self.options, self.sampler = options, sampler
        self.rival = models.build(options.rival, options.size)
        self.average = copy.deepcopy(self.rival).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.rival.parameters(), lr=options.learning_rate, weight_decay=WEIGHT_DECAY
        )
        self.loss = DiceCELoss(sigmoid=True)
        self.done = {"sessions": 0, "updates": 0, "seconds": 0.0, "loss": 0.0, "dice": 0.0}

    def progress(self):
        """0..1: how much of the training is done."""
        if self.options.sessions is not None:
            return min(1.0, self.done["sessions"] / max(1, self.options.sessions))
        return min(1.0, self.done["seconds"] / max(1e-3, 60 * self.options.minutes))

    def session(self):
        """Trains on one simulated session. Its random numbers follow from the seed and its number alone."""
        start = time.process_time()
        rng = np.random.default_rng([self.options.seed, self.done["sessions"]])
        # A rival's networks are trained one after the other, each for its share of the time.
        stage = min(len(self.rival.parts) - 1, int(self.progress() * len(self.rival.parts)))
        coarse = self.progress() * len(self.rival.parts) - stage < COARSE_SHARE
        sample = self.sampler.draw(rng, COARSE if coarse else MOST)
        session = Session(sample.image, sample.spacing_mm)
        annotate(session, sample.target, first_slice(sample.target, rng), rng)
        rounds = int(rng.integers(1, ROUNDS + 1)) if len(self.rival.parts) == 1 else 1
        if stage == 1:
            rounds = int(rng.integers(1, ROUNDS))
            first = models.answer(self.average, session) >= 0.5
            annotate(session, sample.target, next_slice(sample.target, first, session.annotated), rng)
        for _ in range(rounds):
            mask = self.update(session, sample.target, stage)
            if not annotate(session, sample.target, next_slice(sample.target, mask, session.annotated), rng):
                break
        self.done["sessions"] += 1
        self.done["seconds"] += time.process_time() - start

    def update(self, session, target, stage):
        """One update of the weights; returns the answer before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.learning_rate * schedule(self.progress() * len(self.rival.parts) - stage)
        found = models.logits(self.rival, session)
        loss = self.loss(found, torch.from_numpy(target.astype(np.float32))[None, None])
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.rival.parameters(), CLIP)
        self.optimiser.step()
        mask = (found.detach() > 0)[0, 0].numpy()
        done = self.done
        done["updates"] += 1
        decay = min(AVERAGE, 1 - 1 / done["updates"])
        done["loss"] = decay * done["loss"] + (1 - decay) * float(loss.detach())
        done["dice"] = decay * done["dice"] + (1 - decay) * dice(mask, target)
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.rival.parameters(), strict=True):
                mean.lerp_(weight, 1 - decay)
        return mask

    def save(self, path):
        """Writes the checkpoint, whole or not at all."""
        state = {
            "options": dataclasses.asdict(self.options),
            "done": self.done,
            "rival": self.rival.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, path)

    def load(self, path):
        """Goes on from a checkpoint of the same options; only the length may differ."""
        state = torch.load(path, weights_only=True)
        fixed = {**state["options"], "minutes": 0, "sessions": 0}
        if fixed != {**dataclasses.asdict(self.options), "minutes": 0, "sessions": 0}:
            raise ValueError(f"{path} was made with {state['options']}; use them, or another --out")
        self.done = state["done"]
        self.rival.load_state_dict(state["rival"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])


def schedule(progress):
    """Factor of the learning rate at 0..1 of a network's training: warm-up, then a cosine to 0."""
    progress = min(1.0, max(0.0, progress))
    return min(1.0, progress / WARM_UP + 0.02) * 0.5 * (1 + math.cos(math.pi * progress))


def annotate(session, target, k, rng=None):
    """Annotates slice `k` exactly, or with a damaged mask; False without a slice."""
    if k is None:
        return False
    exact = rng is None or rng.random() >= DAMAGED
    session.annotated[k] = target[k].copy() if exact else damaged(target[k], rng)
    return True


def held_out_score(rival, cases, seed=1):
    """Dice of each held-out target after rounds 1 to 6 on the working grid; slices are annotated exactly."""
    targets = [(case, target) for case in cases for target in case.targets]
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(targets))[:MOST_HELD_OUT]
    scores = {}
    for i in sorted(chosen):
        sample = sample_as_recorded(*targets[i])
        if not sample.target.any():
            continue
        session = Session(sample.image, sample.spacing_mm)
        annotate(session, sample.target, first_slice(sample.target, rng))
        curve = []
        for _ in range(ROUNDS):
            mask = models.answer(rival, session) >= 0.5
            for k, annotated in session.annotated.items():
                mask[k] = annotated
            curve.append(dice(mask, sample.target))
            annotate(session, sample.target, next_slice(sample.target, mask, session.annotated))
        scores[sample.name] = curve
    return scores


def log_line(path, done):
    """Appends a line to log.csv."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["sessions", "updates", "minutes", "running_loss", "running_dice"])
        writer.writerow([done["sessions"], done["updates"], f"{done['seconds'] / 60:.2f}", f"{done['loss']:.4f}",
                         f"{done['dice']:.4f}"])  # fmt: skip


def run(trainer, out, time_limit=None, save_every=300.0, log_every=30.0):
    """Trains until the end of the plan, the time limit (seconds) or a signal. Returns the signal, if there was one."""
    checkpoint, start, stopped = out / "checkpoint.pt", time.monotonic(), []
    before = {s: signal.signal(s, lambda n, _: stopped.append(n)) for s in (signal.SIGINT, signal.SIGTERM)}
    saved = logged = start
    try:
        while trainer.progress() < 1 and not stopped:
            trainer.session()
            now = time.monotonic()
            if now - logged > log_every or trainer.progress() >= 1:
                log_line(out / "log.csv", trainer.done)
                logged = now
            if now - saved > save_every:
                trainer.save(checkpoint)
                saved = now
            if time_limit is not None and now - start >= time_limit:
                break
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    trainer.save(checkpoint)
    return stopped[0] if stopped else None


def arguments_of(words=None):
    parser = argparse.ArgumentParser(prog="rivals.train", description=__doc__.splitlines()[0])
    parser.add_argument("rival", choices=models.RIVALS)
    parser.add_argument("--size", choices=models.SIZES, default="small")
    parser.add_argument("--data", required=True, help="folder of cases: CASE/image.nii.gz with CASE/label.nii.gz")
    parser.add_argument("--synthetic", help="folder of synthetic cases in the same layout")
    parser.add_argument("--real-share", type=float, default=0.7, help="of the samples, if there are synthetic cases")
    parser.add_argument("--exclude", help='JSON file of labels that are never targets: {"case": [1, 2]}')
    parser.add_argument("--minutes", type=float, default=120.0, help="processor time of all pieces together")
    parser.add_argument("--sessions", type=int, help="length in sessions instead; resumes to the same numbers")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--time-limit", type=float, help="minutes of this piece")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    return parser.parse_args(words)


def main(words=None):
    arguments = arguments_of(words)
    torch.set_num_threads(arguments.threads)
    names = [f.name for f in dataclasses.fields(Options)]
    options = Options(**{n: getattr(arguments, n) for n in names})
    out = arguments.out
    if (out / "held_out.json").exists():
        print(f"{out}: the training is done", file=sys.stderr)
        return 0
    out.mkdir(parents=True, exist_ok=True)
    folder = Folder(options.data, read_exclude(options.exclude))
    synthetic = Folder(options.synthetic, hold_out_every=0) if options.synthetic else None
    trainer = Trainer(options, Sampler(folder, synthetic, options.real_share))
    if (out / "checkpoint.pt").exists():
        trainer.load(out / "checkpoint.pt")
    limit = None if arguments.time_limit is None else 60 * arguments.time_limit
    stopped = run(trainer, out, limit)
    done = trainer.done
    print(f"{done['sessions']} sessions, {done['updates']} updates, {done['seconds'] / 60:.1f} minutes, "
          f"loss {done['loss']:.3f}, Dice {done['dice']:.3f}", file=sys.stderr)  # fmt: skip
    if trainer.progress() >= 1:
        scores = held_out_score(trainer.average, folder.held_out)
        means = np.mean(list(scores.values()), 0).round(4).tolist() if scores else []
        (out / "held_out.json").write_text(json.dumps({"mean": means, "targets": scores}, indent=1))
        print(f"held out, rounds 1 to {ROUNDS}: {means}", file=sys.stderr)
        return 0
    return 128 + stopped if stopped else 0


if __name__ == "__main__":
    sys.exit(main())
