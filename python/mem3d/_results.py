"""What a session gives: masks, qualities, suggestions, images."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _drawing, _images
from ._drawn import Drawn
from ._images import Geometry
from ._model import Model
from ._segments import Segment, SegmentNames


class Suggestion(NamedTuple):
    """The slice to correct next.

    `segment` is its name, `axis` 0 to 2, `quality` the estimated IoU of the slice's mask (0 to 1), `gain` the expected
    gain of a correction in voxels of the volume.
    """

    segment: str
    axis: int
    slice: int
    quality: float
    gain: float


class Results:
    """The part of :class:`Session` that only reads."""

    _native: Any
    _names: SegmentNames
    _volume: _images.Volume
    _model: Model
    _drawn: Drawn

    # ---- what it is ----

    @property
    def geometry(self) -> Geometry:
        """Shape, spacing, origin and direction of the volume."""
        return self._volume.geometry

    @property
    def image(self) -> npt.NDArray[Any]:
        """The voxels, [depth, height, width]: what the session's own copy was made of."""
        return self._volume.voxels

    @property
    def model(self) -> Model:
        """The model."""
        return self._model

    @property
    def segments(self) -> list[str]:
        """Names of the segments that something was drawn for, by their numbers."""
        return [self._names.name(number) for number in self._native.segments()]

    def segment_number(self, segment: Segment) -> int:
        """The value of a segment in :meth:`labels`.

        Raises
        ------
        InvalidArgumentError
            There is no segment of that name.
        """
        return self._names.there(segment)

    def _read(self, segment: Segment | None) -> int:
        """The number of a segment to read: by default that last drawn for, else the first one."""
        return self._drawn.segment() if segment is None else self._names.there(segment)

    def _axis(self, axis: int | str | None) -> int:
        return self._drawn.axis() if axis is None else _drawing.axis_number(axis)

    # ---- quality ----

    @property
    def quality(self) -> npt.NDArray[np.float32]:
        """Estimated IoU of each slice's mask, 0 to 1, of the segment and along the axis last drawn on.

        1 where a slice is annotated, 0 where nothing was propagated.

        Raises
        ------
        InvalidArgumentError
            The segment has no mask or interaction.
        """
        return self.read_quality()

    def read_quality(self, segment: Segment | None = None, axis: int | str | None = None) -> npt.NDArray[np.float32]:
        """As :attr:`quality`, of a segment along an axis; raises as that."""
        values: npt.NDArray[np.float32] = self._native.readQuality(self._read(segment), self._axis(axis))
        return values

    def suggest(self, segment: Segment | None = None) -> Suggestion | None:
        """The slice whose correction gains most, of all segments by default; None when there is none.

        Raises InvalidArgumentError when the segment has no mask or interaction.
        """
        best = self._native.suggestSlice(0 if segment is None else self._names.there(segment))
        if best is None:
            return None
        return Suggestion(self._names.name(best.segment), best.axis, best.slice, best.quality, best.gain)

    def annotated_slices(self, segment: Segment | None = None, axis: int | str | None = None) -> list[int]:
        """Slices that were drawn on and accepted, or set; a propagation never changes them."""
        return list(self._native.annotatedSlices(self._read(segment), self._axis(axis)))

    # ---- results ----

    def mask(self, segment: Segment | None = None) -> npt.NDArray[np.bool_]:
        """The mask of a segment, [depth, height, width]; by default of the one last drawn for.

        Raises
        ------
        InvalidArgumentError
            The segment has no mask or interaction.
        """
        return np.asarray(self._native.readMask(self._read(segment))).astype(bool)

    def slice_mask(
        self, slice: int, axis: int | str | None = None, *, segment: Segment | None = None
    ) -> npt.NDArray[np.bool_]:
        """The mask of one slice; raises as :meth:`mask`, and for a slice that the volume does not have."""
        across = self._axis(axis)
        number = _drawing.slice_number(slice, across, self.geometry.shape)
        return np.asarray(self._native.readSliceMask(self._read(segment), across, number)).astype(bool)

    def probability(self, segment: Segment | None = None) -> npt.NDArray[np.float32]:
        """Probability of the target in each voxel, 0 to 1 in steps of 1/255; values under 3 % read as 0.

        Raises as :meth:`mask`.
        """
        values: npt.NDArray[np.float32] = self._native.readProbability(self._read(segment))
        return values

    def labels(self) -> npt.NDArray[np.uint16]:
        """All segments in one volume: the number of each, 0 outside; see :meth:`segment_number`."""
        values: npt.NDArray[np.uint16] = self._native.readLabels()
        return values

    def _result(self, segment: Segment | None) -> npt.NDArray[Any]:
        return self.labels() if segment is None else self.mask(segment).astype(np.uint8)

    def to_sitk(self, segment: Segment | None = None) -> Any:
        """The labels, or one segment's mask (0 and 1), as an image of SimpleITK with the volume's geometry."""
        return _images.to_sitk(self._result(segment), self.geometry)

    def to_itk(self, segment: Segment | None = None) -> Any:
        """The same as an image of ITK."""
        return _images.to_itk(self._result(segment), self.geometry)

    def to_nibabel(self, segment: Segment | None = None) -> Any:
        """The same as a NIfTI image of nibabel: axes x, y, z, affine in RAS."""
        source = self._volume.source if self._volume.kind == "nibabel" else None
        return _images.to_nibabel(self._result(segment), self.geometry, source)
