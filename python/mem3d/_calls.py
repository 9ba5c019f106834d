"""Whole tasks in one call: segment by prompts, compare two masks, evaluate a model."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from . import _command, _drawing, _images
from ._model import Model
from ._native.NativeErrors import FileError, InvalidArgumentError
from ._progress import Progress
from ._session import Session

# A list of interactions, or what docs/interactions.md describes, as a dictionary or a file.
Prompts = Union[Sequence[Mapping[str, Any]], Mapping[str, Any], str, "os.PathLike[str]"]
_TOP = {"description", "space", "window", "segments", "interactions", "slice_masks", "rounds"}
_INTERACTION = {"segment", "axis", "slice", "kind", "positive", "points", "radius_mm"}
_MASK = {"segment", "axis", "slice", "mask"}


def _known(entry: Any, names: set[str], what: str) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise InvalidArgumentError(f"{what} is {entry!r}; give a dictionary with some of {', '.join(sorted(names))}")
    for name in entry:
        if name not in names:
            hint = "; `mem3d segment` reads files that prompts name" if name == "file" else ""
            raise InvalidArgumentError(f"{what} has {name!r}; known are {', '.join(sorted(names))}{hint}")
    return entry


def _read_prompts(prompts: Prompts) -> Mapping[str, Any]:
    if isinstance(prompts, (str, os.PathLike)):
        try:
            prompts = json.loads(Path(prompts).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(f"{prompts}: the prompts cannot be read: {error}") from error
    if isinstance(prompts, Sequence):
        prompts = {"interactions": prompts}
    return _known(prompts, _TOP, "prompts")


def _draw(session: Session, entry: Any, space: str) -> int:
    """Draws one interaction; the axis that it is on."""
    entry = _known(entry, _INTERACTION, "an interaction")
    kind, points = entry.get("kind"), entry.get("points")
    if kind not in ("scribble", "click", "box", "extreme_points") or points is None:
        raise InvalidArgumentError(f"an interaction needs points, and a kind: {kind!r} is none that mem3d knows")
    places = np.asarray(points, dtype=np.float64)
    if space == "RAS":
        places = places * [-1.0, -1.0, 1.0]
    more: dict[str, Any] = {}
    if kind in ("scribble", "click"):
        more["positive"] = entry.get("positive", True)
    elif not entry.get("positive", True):
        raise InvalidArgumentError(f"a {kind} marks the target; only scribbles and clicks can be negative")
    if kind == "scribble":
        more["radius_mm"] = entry.get("radius_mm")
    physical = space != "index"
    axis, number, _ = _drawing.place(places, entry.get("slice"), entry.get("axis"), physical, session.geometry)
    draw = getattr(session, kind)
    draw(places, number, axis, segment=entry.get("segment", 1), physical=physical, **more)
    return axis


def _set(session: Session, entry: Any) -> int:
    """Sets one mask of a slice; the axis that it is on."""
    entry = _known(entry, _MASK, "a slice mask")
    axis = _drawing.axis_number(entry.get("axis", 0))
    if "mask" not in entry or "slice" not in entry:
        raise InvalidArgumentError("a slice mask needs slice, and mask: an array of the slice's shape")
    session.set_slice(entry["mask"], entry["slice"], axis, segment=entry.get("segment", 1))
    return axis


def play(session: Session, prompts: Prompts, progress: Progress = False) -> None:
    """Does the rounds of `prompts` in a session."""
    whole = _read_prompts(prompts)
    space = whole.get("space", "index")
    if space not in ("index", "LPS", "RAS"):
        raise InvalidArgumentError(f"space is {space!r}; use 'index', 'LPS' or 'RAS'")
    for entry in whole.get("segments", []):
        entry = _known(entry, {"number", "name", "color"}, "a segment")
        number, name = entry.get("number"), entry.get("name")
        session._names.give(number, f"Segment {number}" if name is None else name)
    first = {name: whole[name] for name in ("interactions", "slice_masks") if name in whole}
    for entry in [first] * bool(first) + list(whole.get("rounds", [])):
        entry = _known(entry, {"interactions", "slice_masks"}, "a round")
        axes = {_draw(session, drawn, space) for drawn in entry.get("interactions", [])}
        axes |= {_set(session, mask) for mask in entry.get("slice_masks", [])}
        if not axes:
            raise InvalidArgumentError("a round has neither interactions nor slice_masks")
        for axis in sorted(axes):
            session.propagate(axis=axis, progress=progress)


def segment(
    image: Any,
    prompts: Prompts,
    spacing: Sequence[float] | None = None,
    *,
    model: Model | str | os.PathLike[str] | None = None,
    device: str = "auto",
    progress: Progress = False,
    **options: Any,
) -> Any:
    """Segments a volume from prompts in one call.

    Parameters
    ----------
    image, spacing, model, device, **options
        As for :class:`Session`.
    prompts : list of dict, dict, or path-like
        Interactions, each with `kind` ("scribble", "click", "box", "extreme_points"), `points`, and where wanted
        `slice`, `axis`, `positive`, `segment` (name or number) and `radius_mm`. Or a dictionary, or a JSON file, in the
        format of docs/interactions.md, with `space`, `window`, `segments` and `rounds`, and without `file`, `label` and
        `empty`: each of its `slice_masks` has a `slice` and a `mask`, an array of the slice's shape, all 0 where the
        target is not to be there.
    progress : bool or callable
        As for :meth:`Session.propagate`.

    Returns
    -------
    ndarray of uint16, or an image of the library that `image` is of
        Labels on the volume's grid: the number of each segment, 0 outside.

    Raises
    ------
    InvalidArgumentError
        The image or a prompt cannot be used.

    Examples
    --------
    >>> import mem3d, numpy as np
    >>> z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
    >>> ball = np.where(x * x + y * y + z * z < 144, 300, 0)
    >>> box = {"kind": "box", "slice": 6, "points": [[12, 8], [36, 32]]}
    >>> labels = mem3d.segment(ball, [box], spacing=(3, 1, 1), device="cpu")
    >>> labels.shape, labels.dtype, int(labels[6, 24, 20])
    ((12, 48, 40), dtype('uint16'), 1)
    """
    prompts = _read_prompts(prompts)
    if prompts.get("window") is not None:
        options.setdefault("window", tuple(prompts["window"]))
    with Session(image, spacing, model=model, device=device, **options) as session:
        play(session, prompts, progress)
        makers = {"SimpleITK": session.to_sitk, "itk": session.to_itk, "nibabel": session.to_nibabel}
        return makers.get(session._volume.kind, session.labels)()


def compare(
    mask: npt.ArrayLike, reference: npt.ArrayLike, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> dict[str, float | None]:
    """Agreement of two masks: Dice, IoU, normalised surface dice at 2 mm, 95th percentile of the surface distance.

    Parameters
    ----------
    mask, reference : array_like, shape (depth, height, width)
        What is not 0 is inside.
    spacing : three floats
        Distance of neighbouring voxels along each axis, mm.

    Returns
    -------
    dict
        `dice`, `iou`, `nsd`, `hd95_mm` and `tolerance_mm`, as docs/evaluation.md defines them; None where a figure is
        not defined.

    Examples
    --------
    >>> import mem3d, numpy as np
    >>> left, both = np.zeros((4, 8, 8)), np.zeros((4, 8, 8))
    >>> left[:, :, :2] = 1; both[:, :, :4] = 1
    >>> round(mem3d.compare(left, both)["dice"], 3)
    0.667
    """
    if np.shape(mask) != np.shape(reference):
        raise InvalidArgumentError(f"mask is of shape {np.shape(mask)}, reference of {np.shape(reference)}")
    with tempfile.TemporaryDirectory(prefix="mem3d-") as folder:
        paths = []
        for name, values in (("mask", mask), ("reference", reference)):
            inside = np.asarray(values) != 0
            place = _images.read(inside, spacing).geometry
            width, height, depth = place.spacing[::-1]
            sizes = " ".join(str(side) for side in place.shape[::-1])
            header = (
                f"NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: {sizes}\n"
                f"space directions: ({width!r},0,0) (0,{height!r},0) (0,0,{depth!r})\n"
                "space origin: (0,0,0)\nencoding: raw\n\n"
            )
            paths.append(os.path.join(folder, name + ".nrrd"))
            Path(paths[-1]).write_bytes(header.encode("ascii") + np.ascontiguousarray(inside, np.uint8).tobytes())
        found: dict[str, float | None] = json.loads(_command.run(["evaluate", "--compare", *paths]))
        return found


def evaluate(data: str | os.PathLike[str], out: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """Measures a model on a folder of images with labels, with a simulated user: `mem3d evaluate`.

    Parameters
    ----------
    data : path-like
        Folder of the cases, in one of the orders of docs/evaluation.md.
    out : path-like
        Folder for tables, plots and the results of each target.
    **options
        Options of the command with _ for -, for example ``interactions="box,click"``, ``rounds=3``,
        ``no_refinement=True``; lists are joined by commas.

    Returns
    -------
    dict
        The contents of `report.json`.

    Raises
    ------
    RuntimeError
        The command fails; the text is its error.
    """
    arguments = ["evaluate", os.fspath(data), "--out", os.fspath(out)]
    for name, value in options.items():
        if value is False or value is None:
            continue
        arguments.append("--" + name.replace("_", "-"))
        if value is not True:
            many = isinstance(value, (list, tuple))
            arguments.append(",".join(str(v) for v in value) if many else str(value))
    _command.run(arguments)
    report: dict[str, Any] = json.loads(Path(out, "report.json").read_text(encoding="utf-8"))
    return report
