"""Targets of folders with images and labels, and samples of them for training.

The rules are those of mem3d train (docs/training.md, "Data"): a folder a case with `image.nii.gz` and `label.nii.gz`;
every label of at least 100 voxels and at most a third of the volume is a target, but for the excluded ones; cases whose
names agree up to the first number are one data set, drawn in proportion to the square root of its targets (at most
36 of them); every tenth case is held out, unless it is the only one of its data set.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from .grid import MOST, Grid

LEAST_VOXELS = 100
MOST_WEIGHT = 6.0
# A session needs slices to annotate. Chosen.
LEAST_SLICES = 3
# Margin of a region as a share of the target's box, on every side: about that of mem3d evaluate --record (0.25), drawn
# for each side, so that a network does not learn the target's box.
MARGIN = (0.15, 0.5)
# Volumes kept in memory, bytes. Chosen.
MOST_KEPT = 4 << 30
_kept = {}


@dataclass(frozen=True)
class Target:
    """A label of a case, and its box."""

    label: int
    low: tuple
    high: tuple


@dataclass
class Case:
    """A folder with `image.nii.gz` and `label.nii.gz`."""

    folder: Path
    shape: tuple
    spacing_mm: tuple
    targets: list = field(default_factory=list)
    weight: float = 0.0


@dataclass
class Sample:
    """A region on the working grid, slices first: image 0..1 (f32), target (bool), spacing of the grid."""

    image: np.ndarray
    target: np.ndarray
    spacing_mm: tuple
    name: str = ""


def volume(path):
    """The array `[depth, height, width]` of a NIfTI file. Those used last stay in memory."""
    array = _kept.pop(path, None)
    if array is None:
        array = np.asanyarray(nibabel.load(path).dataobj).T
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
    _kept[path] = array
    while len(_kept) > 1 and sum(a.nbytes for a in _kept.values()) > MOST_KEPT:
        _kept.pop(next(iter(_kept)))
    return array


def labels_of(array, path):
    """Label values as whole numbers; negative ones are background."""
    whole = np.rint(array)
    if not np.allclose(array, whole, atol=0.01):
        raise ValueError(f"{path} holds values that are no whole numbers; give a label volume")
    return np.maximum(whole, 0).astype(np.int32)


def open_case(folder, excluded):
    """A case with its targets; `excluded` labels are none."""
    path = folder / "label.nii.gz"
    header = nibabel.load(path)
    image = nibabel.load(folder / "image.nii.gz")
    if image.shape != header.shape:
        raise ValueError(f"{path} has the shape {header.shape}, its image {image.shape}; resample the label")
    label = labels_of(np.asanyarray(header.dataobj).T, path)
    case = Case(folder, label.shape, tuple(float(s) for s in header.header.get_zooms()[:3][::-1]))
    sizes = np.bincount(label.ravel())
    for value, box in enumerate(ndimage.find_objects(label), 1):
        if box is None or value in excluded or not LEAST_VOXELS <= sizes[value] <= label.size / 3:
            continue
        case.targets.append(Target(value, tuple(s.start for s in box), tuple(s.stop for s in box)))
    return case


def data_set(name):
    """The data set of a case: its name up to the first number, or all of it."""
    return re.match(r"\D*", name)[0].rstrip("_-") or name


class Folder:
    """The cases of a folder: `training` with weights, and `held_out`."""

    def __init__(self, folder, exclude=None, hold_out_every=10):
        folder, exclude = Path(folder), exclude or {}
        folders = sorted(path.parent for path in folder.glob("*/label.nii.gz"))
        if not folders:
            raise ValueError(f"{folder} holds no case; use CASE/image.nii.gz with CASE/label.nii.gz")
        unknown = sorted(set(exclude) - {f.name for f in folders})
        if unknown:
            raise ValueError(f"labels of the case {unknown[0]!r} are to be left out, but {folder} has no such case")
        cases = [open_case(f, set(exclude.get(f.name, ()))) for f in folders]
        sizes = {}
        for case in cases:
            size = sizes.setdefault(data_set(case.folder.name), [0, 0])
            size[0] += 1
            size[1] += len(case.targets)
        self.training, self.held_out = [], []
        for i, case in enumerate(cases):
            count, targets = sizes[data_set(case.folder.name)]
            case.weight = min(MOST_WEIGHT, max(targets, count) ** 0.5) / count
            if case.targets:
                out = hold_out_every > 0 and i % hold_out_every == hold_out_every - 1 and count > 1
                (self.held_out if out else self.training).append(case)
        if not self.training:
            raise ValueError(f"no case of {folder} has a label of at least {LEAST_VOXELS} voxels to train on")
        weights = np.array([case.weight for case in self.training])
        self.chances = weights / weights.sum()

    def draw(self, rng):
        """A case by its weight and one of its targets, all equally likely."""
        case = self.training[rng.choice(len(self.training), p=self.chances)]
        return case, case.targets[rng.integers(len(case.targets))]


def read_exclude(path):
    """The file of `--exclude`: `{"case": [1, 2]}`."""
    return json.loads(Path(path).read_text()) if path else {}


def sample_of(case, target, axis, margins, most=MOST):
    """A target's region on a grid of at most `most` voxels; `margins[axis][side]`: voxels around its box."""
    low = [max(0, a - m[0]) for a, m in zip(target.low, margins, strict=True)]
    high = [min(n, b + m[1]) for n, b, m in zip(case.shape, target.high, margins, strict=True)]
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    image = volume(str(case.folder / "image.nii.gz"))[part]
    mask = np.rint(volume(str(case.folder / "label.nii.gz"))[part]) == target.label
    grid = Grid(image.shape, case.spacing_mm, axis, most)
    name = f"{case.folder.name}__{target.label}"
    return Sample(grid.image(image), grid.mask(mask), grid.spacing_mm, name)


def sample_as_recorded(case, target):
    """The region that mem3d evaluate --record writes: the box and a quarter of it, along the largest spacing."""
    sides = [b - a for a, b in zip(target.low, target.high, strict=True)]
    margins = [(-(-n // 4), -(-n // 4)) for n in sides]
    return sample_of(case, target, int(np.argmax(case.spacing_mm)), margins)


def augmented(sample, rng):
    """`sample` mirrored, turned in its plane, and with other intensities."""
    image, target, spacing = sample.image, sample.target, sample.spacing_mm
    for axis in range(3):
        if rng.random() < 0.5:
            image, target = np.flip(image, axis), np.flip(target, axis)
    if rng.random() < 0.5:
        image, target = image.swapaxes(1, 2), target.swapaxes(1, 2)
        spacing = (spacing[0], spacing[2], spacing[1])
    image = image ** np.exp(rng.uniform(-0.4, 0.4))
    image = (image - 0.5) * np.exp(rng.uniform(-0.3, 0.3)) + 0.5 + rng.uniform(-0.1, 0.1)
    if rng.random() < 0.1:
        image = 1 - image
    if rng.random() < 0.5:
        image = image + rng.normal(scale=rng.uniform(0, 0.06), size=image.shape)
    image = np.ascontiguousarray(np.clip(image, 0, 1), np.float32)
    return Sample(image, np.ascontiguousarray(target), spacing, sample.name)


class Sampler:
    """Draws samples for training: `real_share` of them from the folder `real`, the rest from `synthetic`."""

    def __init__(self, real, synthetic=None, real_share=0.7):
        self.real = real
        self.synthetic = synthetic
        self.real_share = real_share if synthetic else 1.0

    def draw(self, rng, most=MOST):
        """An augmented region of a target: half of them along the axis of the largest spacing, half along any."""
        while True:
            folder = self.real if rng.random() < self.real_share else self.synthetic
            case, target = folder.draw(rng)
            axis = int(np.argmax(case.spacing_mm)) if rng.random() < 0.5 else int(rng.integers(3))
            sides = np.array(target.high) - target.low
            margins = np.ceil(rng.uniform(*MARGIN, (3, 2)) * sides[:, None]).astype(int)
            sample = sample_of(case, target, axis, margins, most)
            if sample.target.any((1, 2)).sum() >= LEAST_SLICES:
                return augmented(sample, rng)
