"""The images of a DICOM series: which belong together, where they lie, and what their values mean.

The rules are those of the command (docs/files.md): what is no regular stack is refused, a file that does not belong to
one is left out with a warning.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native.NativeErrors import FileError, InvalidArgumentError, UnsupportedError

# As in src/io/dicom.rs: differences that headers round to, and how many images of another kind are named.
_ALIKE = 1e-3
_MOST_STRAY = 3
_LEANING = 2e-3
_DIFFER = "sizes or orientations of the slices differ; they are no one volume"
# What pydicom raises for files that are damaged or may not be opened.
_UNREADABLE = (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, struct.error)
# CT, MR and PET images.
_IMAGES = {f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "128")}


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=4)


def _read(pydicom: Any, path: Path) -> Any:
    """The dataset in a file; None where it is no DICOM, or cannot be read, of which the latter is warned about."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
        bare = start[:2] in (b"\x02\0", b"\x08\0") and start[128:132] != b"DICM"
        dataset = pydicom.dcmread(path, force=bare)
    except pydicom.errors.InvalidDicomError:
        return None
    except _UNREADABLE as error:
        _warn(f"{path}: left out: it cannot be read ({error}); copy it once more")
        return None
    if bare and "SOPClassUID" not in dataset:
        return None
    if bare and "TransferSyntaxUID" not in dataset.file_meta:
        uids = pydicom.uid
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = uids.ImplicitVRLittleEndian if implicit else uids.ExplicitVRLittleEndian
    return dataset


def _class(dataset: Any) -> str:
    """SOPClassUID of a dataset, also of one that ends within its header."""
    return str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")


def _numbers(image: Any, name: str, count: int) -> npt.NDArray[np.float64]:
    """The finite numbers of an element; FileError names it otherwise."""
    value = image.get(name)
    try:
        numbers = np.array([float(v) for v in value], dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        given = f"its {name} is {value!r}, must be {count} numbers" if value else f"its header has no {name}"
        raise FileError(f"{image.filename}: {given}; correct its header, or convert the series with a DICOM converter")
    return numbers


def _usable(image: Any) -> bool:
    """Whether it is a single image with a place and one value a pixel."""
    single = int(image.get("NumberOfFrames") or 1) == 1 and int(image.get("SamplesPerPixel") or 1) == 1
    return single and "ImagePositionPatient" in image


def datasets(pydicom: Any, folder: Path, series: str | None) -> list[Any]:
    """The images of a series; of the only one, or of the one that is named."""
    if not folder.is_dir():
        raise FileError(f"{folder} is no folder; give the folder of a DICOM series")
    found: dict[str, list[Any]] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        dataset = _read(pydicom, path)
        if dataset is not None and "PixelData" in dataset and "SeriesInstanceUID" in dataset:
            found.setdefault(str(dataset.SeriesInstanceUID), []).append(dataset)
        elif dataset is not None and _class(dataset) in _IMAGES:
            _warn(f"{path}: left out: it holds no image, as if cut off; copy it once more")
    if series is not None and series in found:
        return found[series]
    # Segmentations and the like are no series to choose from.
    images = {uid: members for uid, members in found.items() if any(_usable(image) for image in members)} or found
    if len(images) == 1 and series is None:
        return next(iter(images.values()))
    known = "\n".join(f"  {uid}: {len(members)} images" for uid, members in images.items())
    if not images:
        raise FileError(f"{folder} holds no DICOM images; give the folder of a series")
    raise InvalidArgumentError(f"{folder} holds {len(images)} series; name one of them, series=...:\n{known}")


def _key(image: Any) -> tuple[Any, ...]:
    """Size, pixel and orientation of an image, checked."""
    orientation = _numbers(image, "ImageOrientationPatient", 6)
    row, column = orientation[:3], orientation[3:]
    if not np.allclose([row @ row, column @ column, row @ column], [1, 1, 0], atol=0.02):
        raise FileError(
            f"{image.filename}: its ImageOrientationPatient {orientation.tolist()} holds no two unit vectors at right "
            "angles; correct its header"
        )
    pitch = _numbers(image, "PixelSpacing", 2)
    if (pitch <= 0).any():
        raise FileError(f"{image.filename}: its PixelSpacing is {pitch.tolist()} mm; correct its header")
    return int(image.Rows), int(image.Columns), np.array([*pitch, *orientation])


def _alike(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return a[:2] == b[:2] and bool(np.allclose(a[2], b[2], rtol=0, atol=_ALIKE))


def _one_stack(images: Sequence[Any], folder: Path) -> list[Any]:
    """The images without copies, all of one size and orientation."""
    kept: dict[tuple[Any, ...], Any] = {}
    for image in images:
        name = (str(image.get("SOPInstanceUID", id(image))), *_numbers(image, "ImagePositionPatient", 3))
        if name in kept:
            _warn(f"{image.filename}: left out: it is the same image as {kept[name].filename}")
        kept.setdefault(name, image)
    # The images of each kind, by the first of them.
    kinds: list[tuple[tuple[Any, ...], list[Any]]] = []
    for image in kept.values():
        key = _key(image)
        same = next((images for first, images in kinds if _alike(first, key)), None)
        if same is not None:
            same.append(image)
        elif len(kinds) <= _MOST_STRAY:
            kinds.append((key, [image]))
        else:
            raise InvalidArgumentError(f"{folder}: {_DIFFER}")
    most = max((images for _, images in kinds), key=len)
    strays = [Path(image.filename).name for _, images in kinds if images is not most for image in images]
    if strays and len(strays) <= _MOST_STRAY and len(most) >= 3 * len(strays):
        raise InvalidArgumentError(
            f"{folder}: {', '.join(strays)}: sizes or orientations of the slices differ from the other {len(most)}, as "
            "those of a localiser do; move it out of the folder"
        )
    if strays:
        raise InvalidArgumentError(f"{folder}: {_DIFFER}")
    return most


def place(images: Sequence[Any], folder: Path) -> tuple[list[Any], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The images from the first to the last slice; the steps of depth, height and width, and the first position, mm."""
    if not all(_usable(image) for image in images):
        good = [image for image in images if _usable(image)]
        if not good:
            raise UnsupportedError(
                f"{folder}: only series of single slices with positions and one value a pixel are read, not "
                "multi-frame; convert it to .nii.gz (dcm2niix)"
            )
        for image in images:
            if not _usable(image):
                _warn(f"{image.filename}: left out: it is no single image with a position")
        images = good
    stack = _one_stack(images, folder)
    rows, columns, numbers = _key(stack[0])
    along_row, along_column = numbers[2:5], numbers[5:]
    normal = np.cross(along_row, along_column)
    stack.sort(key=lambda image: float(_numbers(image, "ImagePositionPatient", 3) @ normal))
    positions = np.array([_numbers(image, "ImagePositionPatient", 3) for image in stack])
    if len(stack) > 1:
        step = (positions[-1] - positions[0]) / (len(stack) - 1)
        off = np.abs(positions - (positions[0] + np.arange(len(stack))[:, None] * step)).max()
        if off > 0.1 * np.linalg.norm(step) or np.linalg.norm(step) < _ALIKE:
            raise InvalidArgumentError(
                f"{folder}: the slices are not evenly spaced (off by {off:.2f} mm); one may be missing, or twice there"
            )
        height = float((positions[-1] - positions[0]) @ normal)
        aside = float(np.linalg.norm(positions[-1] - positions[0] - height * normal))
        if aside > _LEANING * max(height, 1.0):
            raise InvalidArgumentError(
                f"{folder}: the slices are shifted against each other by {aside:.1f} mm: the gantry was tilted; "
                "resample the series with a converter"
            )
    else:
        thickness = stack[0].get("SpacingBetweenSlices") or stack[0].get("SliceThickness") or 0.0
        if not (math.isfinite(float(thickness)) and float(thickness) != 0):
            _warn(f"{folder}: the thickness of its one slice is not known (SliceThickness); 1 mm is taken")
            thickness = 1.0
        step = normal * abs(float(thickness))
    return stack, np.array([step, along_column * numbers[0], along_row * numbers[1]]), positions[0]


def _number(image: Any, name: str) -> float | None:
    """The number of an element; None where it is missing or empty."""
    try:
        value = image.get(name)
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError) as error:
        raise FileError(f"{image.filename}: its {name} must be a number ({error}); correct its header") from error


def _rescaling(image: Any) -> tuple[float | None, float | None]:
    """Slope and intercept of an image, None where missing; those that are none are warned about."""
    slope, intercept = _number(image, "RescaleSlope"), _number(image, "RescaleIntercept")
    if slope == 0 or not all(math.isfinite(number) for number in (slope, intercept) if number is not None):
        _warn(f"{image.filename}: its RescaleSlope and RescaleIntercept are no scaling; the stored values are taken")
        return None, None
    return slope, intercept


def _scales(images: Sequence[Any]) -> list[tuple[float, float]]:
    """Slope and intercept of each image; refused where only some images have them."""
    found = [_rescaling(image) for image in images]
    for name, numbers in zip(("RescaleSlope", "RescaleIntercept"), zip(*found)):
        missing = [image for image, number in zip(images, numbers) if number is None]
        if missing and len(missing) < len(images):
            raise FileError(
                f"{missing[0].filename}: its header has no {name} that can be used, those of other images of the "
                "series do; correct its header, or convert the series with a DICOM converter"
            )
    return [(1.0 if slope is None else slope, intercept or 0.0) for slope, intercept in found]


def _narrow(values: npt.NDArray[Any], path: Any) -> npt.NDArray[Any]:
    """Integers in the smallest type that the command has for them."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    # The last range is that in which float64 has every integer.
    for name in ("int16", "uint16", "int32", "float64"):
        lowest, highest = (-(2**53), 2**53) if name == "float64" else (np.iinfo(name).min, np.iinfo(name).max)
        if lowest <= low and high <= highest:
            return values.astype(name, copy=False)
    raise FileError(f"{path}: its values reach from {low} to {high}, which no type has exactly; correct its header")


def pixels(pydicom: Any, images: Sequence[Any]) -> npt.NDArray[Any]:
    """The rescaled values of the images."""
    first = images[0]
    if first.get("PhotometricInterpretation") == "MONOCHROME1":
        _warn(f"{first.filename}: MONOCHROME1: low values are meant to be shown bright; they are kept as stored")
    if "ModalityLUTSequence" in first:
        _warn(f"{first.filename}: its values mean something by a table (ModalityLUTSequence), which is not applied")
    scales = _scales(images)
    whole = all(slope == 1 and intercept.is_integer() for slope, intercept in scales)
    slices = []
    for image, (slope, intercept) in zip(images, scales):
        try:
            # Not image.pixel_array, which the image would keep.
            stored = pydicom.pixels.pixel_array(image)
        except Exception as error:
            raise FileError(f"{image.filename}: the pixels cannot be decoded: {error}") from error
        if stored.ndim != 2:
            raise UnsupportedError(f"{image.filename}: has colours; one number for each pixel is read")
        if not whole:
            slices.append((stored * slope + intercept).astype(np.float32))
            continue
        if abs(intercept) > 2**53:
            raise FileError(f"{image.filename}: its RescaleIntercept is {intercept}; correct its header")
        slices.append(_narrow(stored.astype(np.int64) + int(intercept), image.filename))
    voxels = np.stack(slices)
    return _narrow(voxels, first.filename) if whole else voxels
