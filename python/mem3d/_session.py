"""The session: one user's work on one volume."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from . import _drawing, _images, _progress
from ._drawn import Drawn
from ._model import KINDS, Model, shared
from ._native import Native
from ._native.NativeErrors import CancelledError, InvalidArgumentError
from ._results import Results
from ._segments import Segment, SegmentNames

Path_ = Union[str, "os.PathLike[str]"]
# What Session.load() takes: all that a saved session does not hold.
_NOT_SAVED = {"origin", "direction", "model", "device", "keep_cuda_cache"}
_DIRECTIONS = {"both": Native.BOTH, "up": Native.UP, "down": Native.DOWN}


class Session(Results):
    """One user's work on one volume: draw on a slice, propagate, correct the slice that it suggests.

    Parameters
    ----------
    image : ndarray, SimpleITK image, ITK image, nibabel image, or series of :func:`read_dicom`
        One volume, 1 to 32767 voxels along each axis. An array is [depth, height, width]; images are brought into that
        order, and their geometry into LPS. bool, float16 and integers of 64 bits are converted where no value changes.
    spacing : three floats, optional
        For arrays: distance of neighbouring voxels along depth, height and width, mm. Default 1 mm.
    origin : three floats, optional
        For arrays: position of voxel [0, 0, 0], mm, LPS.
    direction : array_like, shape (3, 3), optional
        For arrays: one row for each axis, the unit vector in LPS in which its index grows. Default: depth upwards,
        height to the back, width to the left.
    model : Model or path-like, optional
        Default: the model that comes with mem3d, or the one that the environment variable MEM3D_MODEL names.
    device : str
        Device of a model that is not loaded yet: "auto", "cpu" or "cuda:0", ...
    window : two floats, optional
        Intensities that are black and white for the networks. Default: percentiles 0.5 and 99.5 of the volume, for
        CT limited to -250..450 HU; a segment of CT most of whose voxels are darker, as lung, has a lower end below
        them.
    **options
        Further fields of `mem3d_session_options` in mem3d.h, for example ``undo_depth=100`` or ``no_refinement=1``,
        with the ranges stated there.

    Raises
    ------
    InvalidArgumentError
        The image is not one volume, or an argument is out of range.
    LibraryNotFoundError
        libtorch 2.11 is missing.

    Notes
    -----
    Points are rows of [depth, height, width], voxel indices of the array. ``physical=True`` makes them millimetres in
    LPS, x, y, z, whatever the image is. Axes are 0 (depth), 1 (height) and 2 (width). A call that fails changes
    nothing. A session serves one call at a time, from any thread.

    Examples
    --------
    >>> import mem3d, numpy as np
    >>> z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
    >>> ball = np.where(x * x + y * y + z * z < 144, 300, 0)
    >>> session = mem3d.Session(ball, spacing=(3, 1, 1), device="cpu")
    >>> on_slice = session.extreme_points([[12, 20], [36, 20], [24, 8], [24, 32]], slice=6)
    >>> bool(on_slice[24, 20]), session.propagate() > 0
    (True, True)
    >>> session.mask().shape, session.quality.shape
    ((12, 48, 40), (12,))
    """

    def __init__(
        self,
        image: Any,
        spacing: Sequence[float] | None = None,
        *,
        origin: Sequence[float] | None = None,
        direction: npt.ArrayLike | None = None,
        model: Model | Path_ | None = None,
        device: str = "auto",
        window: tuple[float, float] | None = None,
        **options: Any,
    ) -> None:
        self._volume = _images.read(image, spacing, origin, direction)
        if not isinstance(model, Model):
            model = shared(None if model is None else os.fspath(model), device)
        if window is not None:
            low, high = window
            options.update(window_low=low, window_high=high)
        place = self._volume.geometry
        self._model = model
        self._native = model._native.openSession(
            self._volume.voxels, place.spacing, place.origin, place.direction, **options
        )
        self._names = SegmentNames(self._native)
        self._drawn = Drawn(self._native)

    # ---- draw ----

    def _draw(
        self, kind: str, points: Any, slice: Any, axis: Any, physical: bool, segment: Segment, **more: Any
    ) -> npt.NDArray[np.bool_]:
        across, number, voxels = _drawing.place(points, slice, axis, physical, self.geometry)
        with self._names.drawn(segment) as target:
            mask = self._native.interact(target, across, number, KINDS[kind], points=voxels, **more)
        self._drawn.on((target, across))
        return np.asarray(mask).astype(bool)

    def scribble(
        self,
        points: npt.ArrayLike,
        slice: int | None = None,
        axis: int | str | None = None,
        positive: bool = True,
        *,
        segment: Segment = 1,
        radius_mm: float | None = None,
        physical: bool = False,
    ) -> npt.NDArray[np.bool_]:
        """Draws a line through points inside the target, or outside with ``positive=False``.

        Parameters
        ----------
        points : array_like, shape (n, 3) or (n, 2)
            [depth, height, width], or without the coordinate of the slice.
        slice : int, optional
            Number of the slice; by default that of the points.
        axis : {0, 1, 2}, optional
            The axis that the slice is cut along; by default the one along which the points agree best.
        positive : bool
            False marks what is outside the target.
        segment : str or int
            What is drawn. A new name makes a new segment.
        radius_mm : float, optional
            Half the width of the line; 1.5 pixels by default.
        physical : bool
            Points are x, y, z in millimetres, LPS.

        Returns
        -------
        ndarray of bool, shape of the slice
            The slice's new mask.
        """
        return self._draw(
            "scribble", points, slice, axis, physical, segment, negative=not positive, radiusMm=radius_mm or 0.0
        )

    def click(
        self,
        points: npt.ArrayLike,
        slice: int | None = None,
        axis: int | str | None = None,
        positive: bool = True,
        *,
        segment: Segment = 1,
        physical: bool = False,
    ) -> npt.NDArray[np.bool_]:
        """Marks single points inside (or outside) the target; parameters and result as :meth:`scribble`."""
        return self._draw("click", points, slice, axis, physical, segment, negative=not positive)

    def box(
        self,
        points: npt.ArrayLike,
        slice: int | None = None,
        axis: int | str | None = None,
        *,
        segment: Segment = 1,
        physical: bool = False,
    ) -> npt.NDArray[np.bool_]:
        """Draws a box around the target by two opposite corners; parameters and result as :meth:`scribble`."""
        return self._draw("box", points, slice, axis, physical, segment)

    def extreme_points(
        self,
        points: npt.ArrayLike,
        slice: int | None = None,
        axis: int | str | None = None,
        *,
        segment: Segment = 1,
        physical: bool = False,
    ) -> npt.NDArray[np.bool_]:
        """Marks the four outermost points of the target, or more; parameters and result as :meth:`scribble`."""
        return self._draw("extreme_points", points, slice, axis, physical, segment)

    def set_slice(
        self, mask: npt.ArrayLike, slice: int, axis: int | str | None = None, *, segment: Segment = 1
    ) -> None:
        """Replaces the mask of a slice by one made by hand; the slice becomes annotated.

        `mask` has the shape of the slice; what is not 0 is inside. `axis` is the one last drawn on, or 0.
        """
        across = self._axis(axis)
        number = _drawing.slice_number(slice, across, self.geometry.shape)
        with self._names.drawn(segment) as target:
            self._native.setSliceMask(target, across, number, np.asarray(mask))
        self._drawn.on((target, across))

    def set_mask(self, mask: npt.ArrayLike, *, segment: Segment = 1) -> None:
        """Sets the mask of the whole volume, for example an earlier segmentation; no slice becomes annotated."""
        with self._names.drawn(segment) as target:
            self._native.setMask(target, np.asarray(mask))
        self._drawn.elsewhere()

    def accept(self, slice: int, axis: int | str | None = None, *, segment: Segment | None = None) -> None:
        """Accepts the mask of a slice as it is; the slice becomes annotated.

        Raises InvalidArgumentError for a segment without mask or interaction.
        """
        across, target, before = self._axis(axis), self._read(segment), self._drawn.place()
        self._native.accept(target, across, _drawing.slice_number(slice, across, self.geometry.shape))
        self._drawn.on(before or (target, across))

    # ---- propagate ----

    def propagate(
        self,
        segment: Segment | None = None,
        axis: int | str | None = None,
        *,
        direction: str = "both",
        slices: tuple[int, int] | None = None,
        progress: _progress.Progress = False,
    ) -> int:
        """Carries the masks of the annotated slices through the volume. Slices that were drawn on become annotated.

        Only slices between a newly annotated slice and its annotated neighbours change; if none is new, all others do.
        With several segments, name the one that was corrected.

        Parameters
        ----------
        segment : str or int, optional
            By default every segment with an annotated slice along the axis.
        axis : {0, 1, 2}, optional
            By default the axis last drawn on.
        direction : {"both", "up", "down"}
            Towards higher slice numbers ("up"), lower ones, or both.
        slices : (int, int), optional
            First and last slice that may change.
        progress : bool or callable
            True shows a bar (tqdm where it is installed). A function gets the number of slices done and of all, and
            cancels by returning False.

        Returns
        -------
        int
            Number of slice masks that were replaced.

        Raises
        ------
        InvalidStateError
            No slice is annotated along the axis.
        CancelledError, KeyboardInterrupt
            It was cancelled, or stopped by Ctrl-C. The session is then as it was. After the last slice, Ctrl-C takes
            the propagation back by :meth:`undo`; a session without undo (``undo_depth=-1``) keeps it.
        """
        if direction not in _DIRECTIONS:
            raise InvalidArgumentError(f"direction is {direction!r}; use 'both', 'up' or 'down'")
        across = self._axis(axis)
        first, count = 0, 0
        if slices is not None:
            first, last = (_drawing.slice_number(number, across, self.geometry.shape) for number in slices)
            if last < first:
                raise InvalidArgumentError(f"slices is {slices}; give the first and the last one")
            count = last - first + 1
        number = 0 if segment is None else self._names.there(segment)
        with _progress.interruptible(self._native.cancel) as interrupt:
            try:
                with _progress.shown(progress) as on_slice:
                    updated = self._native.propagate(number, across, _DIRECTIONS[direction], first, count, on_slice)
            except CancelledError:
                if interrupt.came:
                    raise KeyboardInterrupt from None
                raise
            self._drawn.elsewhere()
            if interrupt.came:
                self.undo()
                raise KeyboardInterrupt
        return int(updated)

    def cancel(self) -> None:
        """Cancels a running :meth:`propagate`, from another thread or from its progress function."""
        self._native.cancel()

    # ---- history and files ----

    def undo(self) -> bool:
        """Takes the last change back; False when there is none."""
        undone = bool(self._native.undo())
        if undone:
            self._drawn.undone()
        return undone

    def redo(self) -> bool:
        """Does again what :meth:`undo` took back; False when there is nothing."""
        redone = bool(self._native.redo())
        if redone:
            self._drawn.redone()
        return redone

    def reset(self, segment: Segment | None = None) -> None:
        """Removes all that was drawn and segmented, for one segment or for all.

        Raises InvalidArgumentError for a segment without mask or interaction.
        """
        if segment is None:
            self._native.reset(0)
            self._drawn.on(None)
        else:
            self._native.reset(self._names.there(segment))
            self._drawn.elsewhere()

    def save(self, path: Path_) -> None:
        """Saves the session, without the volume, for :meth:`load` and for `mem3d segment --resume`.

        Names of segments, and which of them and which axis was drawn on, go into a file beside it, named as `path` with
        `.names.json` after it.

        Raises
        ------
        FileError
            The file cannot be written; one that exists is then unchanged.
        """
        self._native.save(path)
        self._names.save(os.fspath(path), self._drawn)

    @classmethod
    def load(cls, path: Path_, image: Any, spacing: Sequence[float] | None = None, **arguments: Any) -> Session:
        """Continues a saved session on the same volume.

        Its options (window, undo depth, cache, tuning) are those that it was saved with.

        Parameters
        ----------
        path : path-like
            A file of :meth:`save`.
        image, spacing
            The same volume, as for a new session.
        **arguments
            `origin`, `direction`, `model`, `device` and `keep_cuda_cache`, as for a new session. The model has to be
            the one that it was saved with.

        Raises
        ------
        FileError
            The file cannot be read, or is no saved session.
        InvalidArgumentError
            It was saved with another volume, spacing or model, or another argument is given.
        """
        for name in arguments:
            if name not in _NOT_SAVED:
                raise InvalidArgumentError(
                    f"{name} cannot be given: a saved session keeps the options that it was saved with; besides image "
                    f"and spacing, give only {', '.join(sorted(_NOT_SAVED))}"
                )
        # Options that any volume is taken with, until the saved ones replace them.
        session = cls(image, spacing, window=(0.0, 1.0), replace_non_finite=1, **arguments)
        try:
            session._native.restore(path)
            session._names.load(os.fspath(path), session._drawn)
        except BaseException:
            session.close()
            raise
        return session

    def close(self) -> None:
        """Frees the session's memory now. A propagation that runs in another thread ends as cancelled; calls after this
        raise. `with` does it at the end of its block.
        """
        self._native.free()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        depth, height, width = self.geometry.shape
        return f"<mem3d.Session on {depth} x {height} x {width} voxels>"
