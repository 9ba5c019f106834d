"""Segments recorded rounds with classical tools: Grow from seeds, random walker, interpolation between slices.

    mem3d evaluate DATA --out out/eval --record out/rounds
    python tools/peers/run.py out/rounds
    mem3d evaluate --score out/rounds --out out/eval

Every tool gets what mem3d had after each round: the image and the masks of the annotated slices, in the target's box
and a margin of a quarter of it on every side (mem3d does not receive that box). Writes `TOOL.round_N.npy`, `TOOL.json`
(seconds) and `TOOL.memory`: the largest resident memory of the process during the target's rounds, MB (Linux). Rules:
docs/evaluation.md.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

import numpy as np
from peak_memory import peak_mb, reset_peak

FOREGROUND, BACKGROUND = 1, 2


def seeds_of(shape, axis, slices, masks, open_faces):
    """Seeds for tools that grow: annotated slices in full, and the faces of the region as background."""
    seeds = np.zeros(shape, np.uint8)
    for dimension, (low, high) in enumerate(open_faces):
        face = np.moveaxis(seeds, dimension, 0)
        if low:
            face[0] = BACKGROUND
        if high:
            face[-1] = BACKGROUND
    along = np.moveaxis(seeds, axis, 0)
    for k, mask in zip(slices, masks, strict=True):
        along[k] = np.where(mask, FOREGROUND, BACKGROUND)
    return seeds


def grow_from_seeds(image, seeds, spacing, **_):
    """Grow from seeds: cellular automaton in its fast, exact form (Zhu et al. 2014), Slicer's algorithm."""
    import itk

    volume, start = itk.image_from_array(np.ascontiguousarray(image)), itk.image_from_array(seeds)
    for each in (volume, start):
        each.SetSpacing([float(s) for s in spacing[::-1]])
    grown = itk.FastGrowCut[type(volume), type(start)].New(Input=volume, SeedImage=start)
    grown.Update()
    return itk.array_from_image(grown.GetOutput()) == FOREGROUND


def random_walker(image, seeds, spacing, axis, max_voxels, **_):
    """Random walker (Grady 2006), in-plane and through-plane steps weighed by spacing."""
    from skimage.segmentation import random_walker as walk

    # The linear system has one unknown a voxel: large regions are sampled at every n-th voxel of a slice.
    step = np.ones(3, int)
    in_plane = [k for k in range(3) if k != axis]
    while np.prod([-(-n // s) for n, s in zip(image.shape, step, strict=True)]) > max_voxels:
        step[min(in_plane, key=lambda k: spacing[k] * step[k])] += 1
    part = tuple(slice(None, None, s) for s in step)
    data, labels = image[part], seeds[part].astype(np.int32)
    low, high = np.percentile(data, [0.5, 99.5])
    data = np.clip((data - low) / max(high - low, 1e-6), 0, 1)
    if not ((labels == FOREGROUND).any() and (labels == BACKGROUND).any()):
        return seeds == FOREGROUND
    found = walk(data, labels, beta=130, mode="cg_j", tol=1e-3, spacing=np.asarray(spacing) * step) == FOREGROUND
    for dimension, s in enumerate(step):
        found = np.repeat(found, s, axis=dimension)
    return found[tuple(slice(0, n) for n in image.shape)]


def interpolation(image, axis, slices, masks, **_):
    """Morphological contour interpolation (Albu et al. 2008): what Slicer's Fill between slices does."""
    import itk

    labels = np.zeros(image.shape, np.uint8)
    along = np.moveaxis(labels, axis, 0)
    for k, mask in zip(slices, masks, strict=True):
        along[k] = mask
    if sum(bool(m.any()) for m in masks) < 2:
        return labels > 0
    filled = itk.morphological_contour_interpolator(itk.image_from_array(labels), axis=2 - axis, label=1)
    return itk.array_from_image(filled) > 0


TOOLS = {f.__name__: f for f in (grow_from_seeds, random_walker, interpolation)}


def load(name):
    """Lets a tool segment a tiny volume, so that no round counts the seconds of loading its code."""
    shape = (3, 8, 8)
    image = np.zeros(shape, np.float32)
    image[:, 2:6, 2:6] = 1
    masks = [image[0] > 0, image[0] > 0]
    seeds = seeds_of(shape, 0, [0, 2], masks, [(False, False)] * 3)
    TOOLS[name](image, seeds=seeds, spacing=[1.0] * 3, axis=0, slices=[0, 2], masks=masks, max_voxels=image.size)


def answer(folder, name, max_voxels, asked=None):
    """Runs one tool on every round of one folder, or on those in `asked`. Returns the error, if any."""
    done = folder / f"{name}.json"
    if done.exists():
        return None
    try:
        run = json.loads((folder / "run.json").read_text())
        image = np.load(folder / "image.npy").astype(np.float32)
        axis, low, high = run["axis"], run["low"], run["high"]
        open_faces = [(low[k] > 0, high[k] < run["shape"][k]) for k in range(3)]
        load(name)
        seconds = []
        reset_peak()
        for this in run["rounds"]:
            masks = np.load(folder / f"round_{this['round']}.npy") > 0
            start = time.perf_counter()
            answered = asked is None or this["round"] in asked
            if answered:
                seeds = seeds_of(image.shape, axis, this["slices"], masks, open_faces)
                found = TOOLS[name](
                    image, seeds=seeds, spacing=run["spacing_mm"], axis=axis, slices=this["slices"], masks=masks,
                    max_voxels=max_voxels,
                )
            # Annotated slices stay, as in mem3d.
            found = np.array(found, np.uint8)
            along = np.moveaxis(found, axis, 0)
            for k, mask in zip(this["slices"], masks, strict=True):
                along[k] = mask
            seconds.append(time.perf_counter() - start if answered else 0.0)
            np.save(folder / f"{name}.round_{this['round']}.npy", found)
        (folder / f"{name}.memory").write_text(f"{peak_mb():.1f}\n")
        done.write_text(json.dumps(seconds))
        return None
    except Exception as error:  # noqa: BLE001 - one target must not stop the others
        return f"{folder}, {name}: {type(error).__name__}: {error}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what mem3d evaluate --record wrote")
    parser.add_argument("--tools", default=",".join(TOOLS), help="default: %(default)s")
    parser.add_argument("--jobs", type=int, default=1, help="targets at the same time")
    parser.add_argument("--rounds", help="only after these rounds, as 1,3,6; in the others the last answer stays")
    parser.add_argument("--max-voxels", type=int, default=1_000_000, help="largest system of the random walker")
    arguments = parser.parse_args()
    tools = arguments.tools.split(",")
    unknown = [t for t in tools if t not in TOOLS]
    if unknown:
        parser.error(f"there is no tool {unknown[0]}; use {', '.join(TOOLS)}")
    folders = sorted(path.parent for path in arguments.folder.glob("*/*/run.json"))
    if not folders:
        parser.error(f"{arguments.folder} holds no recorded rounds; run mem3d evaluate with --record first")
    asked = arguments.rounds and {1, *(int(word) for word in arguments.rounds.split(","))}
    work = [(folder, tool, arguments.max_voxels, asked) for folder in folders for tool in tools]
    # ITK and the linear algebra take all cores for each target otherwise.
    for name in ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // arguments.jobs)))
    failed = []
    # A process for each answer: memory that an earlier one freed may still belong to its process.
    with multiprocessing.get_context("spawn").Pool(arguments.jobs, maxtasksperchild=1) as pool:
        tasks = [pool.apply_async(answer, w) for w in work]
        for n, (task, (folder, tool, *_)) in enumerate(zip(tasks, work, strict=True), 1):
            failed += filter(None, [task.get()])
            print(f"[{n}/{len(work)}] {folder.parent.name} {folder.name} {tool}", file=sys.stderr)
        pool.close()
        pool.join()
    for text in failed:
        print(text, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
