#!/usr/bin/env python3
"""Fits the calibration of a model's qualities and writes it into the model's header.

    python tools/calibrate.py models/mine.safetensors plain.safetensors
    mem3d evaluate FOLDER --model plain.safetensors --interactions mask --select quality --rounds 6 --out evaluation
    python tools/calibrate.py plain.safetensors models/mine.safetensors --evaluation evaluation

Without --evaluation the calibration is removed: the qualities of an evaluation must be the quality head's own. FOLDER
holds images with labels, as for `mem3d evaluate`; take volumes that the model is not judged on. The coefficients are
those of a logistic regression of the true IoU of slices on the logit of their quality, by position: masks with an
annotated slice with the target on one side (open), on both sides (closed), and empty slices. Every target has the same
weight. Needs numpy.
"""

import argparse
import hashlib
import json
import pathlib
import struct
import sys

import numpy

POSITIONS = ("open", "closed", "empty")
# As src/engine/suggest/calibration.rs.
LEAST_QUALITY = 1e-4
# Slices that a position needs for a fit.
LEAST_SLICES = 50


def positions(target):
    """Position, quality and true IoU of every slice of every round of a target's result."""
    for run in target["runs"]:
        annotated, last = {}, {}
        for round_ in run["rounds"]:
            k = round_["slice"]
            if k is None:
                continue
            before = last.get(k)
            # A slice in no list holds neither target nor mask; one with an empty mask in the list holds the target.
            annotated[k] = not annotated or (before is not None and (before["empty"] or before["iou"] > 0))
            last = {s["slice"]: s for s in round_["slices"]}
            for s in round_["slices"]:
                ends = neighbours(annotated, s["slice"])
                if any(ends) and s["quality"] > 0:
                    yield ("empty" if s["empty"] else "closed" if all(ends) else "open"), s["quality"], s["iou"]
            for k, quality in round_["empty_slices"]:  # neither target nor mask: as it should be
                if any(neighbours(annotated, k)) and quality > 0:
                    yield "empty", quality, 1.0


def neighbours(annotated, k):
    """Whether the annotated slices before and after slice k hold the target; False where there is none."""
    below = max((a for a in annotated if a < k), default=None)
    above = min((a for a in annotated if a > k), default=None)
    return [a is not None and annotated[a] for a in (below, above)]


def fit(quality, iou, weight):
    """Offset and slope of the logit by Newton's method on the weighted cross-entropy."""
    quality = numpy.clip(quality, LEAST_QUALITY, 1 - LEAST_QUALITY)
    x = numpy.stack([numpy.ones_like(quality), numpy.log(quality / (1 - quality))], 1)
    beta = numpy.array([0.0, 1.0])
    for _ in range(50):
        p = 1 / (1 + numpy.exp(-(x @ beta)))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + 1e-9 * numpy.eye(2)
        step = numpy.linalg.solve(hessian, x.T @ (weight * (iou - p)))
        beta = beta + numpy.clip(step, -1, 1)
        if abs(step).max() < 1e-9:
            break
    return [round(float(b), 4) for b in beta]


def calibration(folder, model_checksum, least_doubt):
    folder = pathlib.Path(folder)
    settings = json.loads((folder / "settings.json").read_text())
    if settings["model_checksum"] != model_checksum:
        raise SystemExit(f"{folder} is an evaluation of another model ({settings['model']}); evaluate this one first")
    rows = {position: [] for position in POSITIONS}
    for path in sorted((folder / "targets").glob("*.json")):
        found = list(positions(json.loads(path.read_text())))
        for position, quality, iou in found:
            rows[position].append((quality, iou, 1 / len(found)))
    result = {}
    for position, values in rows.items():
        if len(values) < LEAST_SLICES:
            raise SystemExit(f"{folder}: {len(values)} slices are {position}, {LEAST_SLICES} are needed; evaluate more")
        result[position] = fit(*numpy.array(values).T)
        print(f"{position:6} {result[position]}, {len(values)} slices")
    return result | {"least_doubt": least_doubt}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model file")
    parser.add_argument("out", help="model file to write; may be the same")
    parser.add_argument("--evaluation", help="folder that mem3d evaluate --out wrote for this model")
    parser.add_argument("--least-doubt", type=float, default=0.15, help="doubt beside the last mask [default: 0.15]")
    args = parser.parse_args()
    data = pathlib.Path(args.model).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    tensors = json.loads(data[8 : 8 + size])
    header = json.loads(tensors["__metadata__"]["mem3d"])
    if args.evaluation:
        if header["info"].get("quality_calibration"):
            raise SystemExit(f"{args.model} has a calibration; remove it first (without --evaluation), evaluate again")
        checksum = hashlib.sha256(data).hexdigest()
        header["info"]["quality_calibration"] = calibration(args.evaluation, checksum, args.least_doubt)
    else:
        header["info"].pop("quality_calibration", None)
    tensors["__metadata__"]["mem3d"] = json.dumps(header)
    text = json.dumps(tensors).encode()
    text += b" " * (-len(text) % 8)
    out = pathlib.Path(args.out)
    # Whole or not at all: it may replace the model.
    unfinished = out.with_name(out.name + ".unfinished")
    try:
        unfinished.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
