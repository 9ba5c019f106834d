"""DICOM: a series in, a DICOM segmentation (SEG) out, through pydicom and highdicom (`pip install "mem3d[dicom]"`).

    series = mem3d.read_dicom("ct/")
    session = mem3d.Session(series)
    ...
    mem3d.dicom.write_seg("liver.dcm", session)

From the command line: `mem3d segment ct/ prompts.json --out liver.dcm`, `mem3d batch cases.csv --format dicom-seg`,
where the list names folders of series as volumes, and, from a segmentation that exists: `python -m mem3d.dicom ct/
liver.seg.nrrd liver.dcm`.
"""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _images, _series
from ._native.NativeErrors import Error, FileError, InvalidArgumentError, UnsupportedError
from ._version import __version__

if TYPE_CHECKING:
    from ._session import Session

_NEEDED = 'DICOM needs pydicom, highdicom and slicerio; install them with: python -m pip install "mem3d[dicom]"'


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise UnsupportedError(f"{_NEEDED} ({error})") from error


def check() -> None:
    """Raises UnsupportedError unless everything that writes DICOM SEG is installed."""
    for name in ("pydicom", "highdicom", "slicerio"):
        _import(name)


def read_dicom(folder: str | os.PathLike[str], series: str | None = None) -> _images.Volume:
    """Reads the folder of a DICOM series, for :class:`Session` and :func:`segment`.

    Parameters
    ----------
    folder : path-like
        Folder with the images, one a slice.
    series : str, optional
        SeriesInstanceUID, where the folder holds several.

    Returns
    -------
    Volume
        With `voxels` [depth, height, width], rescaled to the modality's values, and their `geometry` in LPS.

    Raises
    ------
    FileError
        The folder holds no images, or one that cannot be decoded or whose place cannot be used; the element is named.
    InvalidArgumentError
        The images are no regular volume: sizes or orientations differ, slices are missing, the gantry was tilted, or
        there are several series.
    UnsupportedError
        pydicom is not installed, or the series is of a kind that is not read.

    Warns
    -----
    UserWarning
        A file is left out (it cannot be read, or is a copy), or values are taken as they are stored.
    """
    where = Path(folder)
    pydicom = _import("pydicom")
    images, steps, origin = _series.place(_series.datasets(pydicom, where, series), where)
    return _images._volume(_series.pixels(pydicom, images), steps, origin, "dicom", images)


def write_seg(path: str | os.PathLike[str], session: Session, description: str = "mem3d") -> None:
    """Writes the segments of a session on a series of :func:`read_dicom` as DICOM SEG.

    Parameters
    ----------
    path : path-like
        File to write; one that exists is replaced when the new one is complete.
    session : Session
        Its image came from :func:`read_dicom`. Segments may overlap.
    description : str
        SeriesDescription of the segmentation.

    Raises
    ------
    InvalidArgumentError
        The session's image is no DICOM series, or nothing is segmented.
    FileError
        The file cannot be written.
    """
    volume = session._volume
    if volume.kind != "dicom":
        raise InvalidArgumentError("the session's image is no DICOM series: open it with mem3d.read_dicom(folder)")
    masks = [(name, session.mask(name)) for name in session.segments]
    _write(Path(path), volume.source, masks, description)


def _labels(names: Iterable[str]) -> list[str]:
    """Labels that DICOM allows (LO: 64 characters, no backslash), no two of them equal."""
    labels: list[str] = []
    for number, name in enumerate(names, 1):
        printable = "".join(c if c.isprintable() else " " for c in name.replace("\\", "/"))
        plain = printable.strip()[:64].strip() or f"Segment {number}"
        label, count = plain, 1
        while label in labels:
            count += 1
            label = f"{plain[:56]} ({count})"
        labels.append(label)
    return labels


def _write(
    path: Path, images: Sequence[Any], masks: Iterable[tuple[str, npt.NDArray[np.bool_]]], description: str
) -> None:
    highdicom = _import("highdicom")
    from pydicom.sr.codedict import codes

    if path.exists() and any(os.path.samefile(path, image.filename) for image in images):
        raise InvalidArgumentError(f"{path} is an image of the series; give the segmentation another name")
    masks = [(name, mask) for name, mask in masks if mask.any()]
    if not masks:
        raise InvalidArgumentError(f"{path}: nothing is segmented; DICOM SEG needs a segment with voxels")
    how = highdicom.AlgorithmIdentificationSequence(
        name="mem3d", version=__version__, family=codes.cid7162.ArtificialIntelligence
    )
    # Tissue of kind tissue, as Slicer describes a segment of which only the name is known.
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
            algorithm_identification=how,
        )
        for number, label in enumerate(_labels(name for name, _ in masks), 1)
    ]
    # highdicom raises whatever an element that is missing leads to.
    try:
        file = highdicom.seg.Segmentation(
            source_images=list(images),
            pixel_array=np.stack([mask for _, mask in masks], axis=-1).astype(np.uint8),
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=described,
            series_instance_uid=highdicom.UID(),
            series_number=int(images[0].get("SeriesNumber") or 0) + 1000,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="mem3d",
            manufacturer_model_name="mem3d",
            software_versions=__version__,
            device_serial_number="none",
            series_description=description,
            specific_character_set="ISO_IR 192",
        )
    except Exception as error:
        raise FileError(
            f"{Path(images[0].filename).parent}: its headers do not suffice for DICOM SEG ({error}); complete them"
        ) from error
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        file.save_as(new, enforce_file_format=True)
        os.replace(new, path)
    except OSError as error:
        raise FileError(f"{path}: cannot be written: {error}") from error
    finally:
        new.unlink(missing_ok=True)


def _segment_names(path: Path) -> list[str | None]:
    """Names of the segments in the header of a .seg.nrrd, by their numbers; None where one has no name."""
    names: dict[int, str | None] = {}
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                break
            found = re.match(rb"Segment(\d+)_([^:]+):=(.*)", line)
            if not found:
                continue
            number = int(found[1])
            names.setdefault(number, None)
            if found[2] == b"Name":
                try:
                    text = found[3].decode("utf-8")
                except UnicodeDecodeError:
                    text = found[3].decode("latin-1")
                names[number] = re.sub(r"\\([\\n])", lambda pair: "\n" if pair[1] == "n" else pair[1], text.strip())
    return [names[number] for number in sorted(names)]


def convert(series: str | os.PathLike[str], segmentation: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Converts a segmentation of the command (.seg.nrrd) to DICOM SEG.

    Parameters
    ----------
    series : path-like
        Folder of the DICOM series that was segmented.
    segmentation : path-like
        Segmentation on its grid.
    out : path-like
        File to write.

    Raises
    ------
    InvalidArgumentError
        The segmentation does not lie on the grid of the series.
    FileError
        A file cannot be read or written, or the headers of the series do not suffice.
    """
    try:
        _convert(series, segmentation, out)
    except Error:
        raise
    except Exception as error:
        raise FileError(
            f"{series}: cannot be converted with {segmentation} ({type(error).__name__}: {error}); check both"
        ) from error


def _convert(series: str | os.PathLike[str], segmentation: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    slicerio = _import("slicerio")
    volume = read_dicom(series)
    try:
        read = slicerio.read_segmentation(os.fspath(segmentation))
        # slicerio leaves out characters that are not ASCII.
        names = _segment_names(Path(segmentation))
    except Exception as error:
        raise FileError(f"{segmentation}: the segmentation cannot be read: {error}") from error
    place = volume.geometry
    wanted = np.eye(4)
    wanted[:3, :3] = (place.direction * np.array(place.spacing)[:, None])[::-1].T
    wanted[:3, 3] = place.origin
    layers = read["voxels"] if read["voxels"].ndim == 4 else read["voxels"][None]
    if layers.shape[1:] != place.shape[::-1] or not np.allclose(read["ijkToLPS"], wanted, atol=1e-2):
        raise InvalidArgumentError(f"{segmentation} does not lie on the grid of the series {series}")
    if len(names) != len(read["segments"]):
        raise FileError(f"{segmentation}: the fields of its segments are damaged; write it again")
    masks = []
    for number, (name, segment) in enumerate(zip(names, read["segments"]), 1):
        layer = layers[int(segment.get("layer", 0))]
        masks.append((name or f"Segment {number}", layer.transpose(2, 1, 0) == int(segment["labelValue"])))
    _write(Path(out), volume.source, masks, "mem3d")


def convert_batch(results: str | os.PathLike[str], base: str | os.PathLike[str] | None = None) -> list[str]:
    """Writes a DICOM SEG beside every segmentation (.seg.nrrd) of a DICOM series in the results of `mem3d batch`.

    `base` is the folder of the list of cases, from which the results name files; by default that of the results. Files
    that are newer than their segmentation are kept. Returns what could not be converted, with the reasons.
    """
    failed = []
    base = Path(results).parent if base is None else Path(base)
    with open(results, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] in ("done", "skipped")]
    for row in rows:
        volume, output = base / row["volume"], base / row["output"]
        if not output.name.endswith(".seg.nrrd") or volume.is_file():
            continue
        out = output.with_name(output.name[: -len(".seg.nrrd")] + ".dcm")
        if not volume.is_dir():
            failed.append(f"{out}: the series {volume} is not there")
            continue
        try:
            if out.exists() and out.stat().st_mtime >= output.stat().st_mtime:
                continue
            convert(volume, output, out)
        except (Error, OSError) as error:
            failed.append(f"{out}: {error}")
    return failed


def main(arguments: Iterable[str]) -> int:
    """`python -m mem3d.dicom SERIES SEGMENTATION.seg.nrrd OUT.dcm`; the exit status."""
    given = list(arguments)
    if len(given) != 3:
        print("usage: python -m mem3d.dicom SERIES SEGMENTATION.seg.nrrd OUT.dcm", file=sys.stderr)
        return 2
    try:
        convert(*given)
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(given[2])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
