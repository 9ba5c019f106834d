"""A mask of a volume kept as the small box that holds it, so that no step costs more than the target is large.

Needs numpy only.
"""

import zlib

import numpy as np


def bounds(mask):
    """The box of what is not 0: three (first, last + 1) pairs; None when all is 0."""
    box = []
    view = mask
    for axis in range(mask.ndim):
        # Cutting each axis before looking at the next keeps the later, scattered reads small.
        found = np.flatnonzero(view.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if len(found) == 0:
            return None
        box.append((int(found[0]), int(found[-1]) + 1))
        view = view[tuple([slice(None)] * axis + [slice(*box[axis])])]
    return tuple(box)


def unionOfBoxes(*boxes):
    """The smallest box around all that are not None."""
    boxes = [box for box in boxes if box is not None]
    if not boxes:
        return None
    return tuple((min(b[a][0] for b in boxes), max(b[a][1] for b in boxes)) for a in range(3))


class Region:
    """A 0/1 mask [depth, height, width] of `shape`: `array` inside `box`, 0 outside; never changed in place."""

    def __init__(self, shape, box=None, array=None):
        self.shape = tuple(shape)
        self.box = box
        self.array = array

    @classmethod
    def fromMask(cls, mask, offset=(0, 0, 0), shape=None):
        """Copies what is not 0 of `mask`, whose first voxel lies at `offset`; what lies outside of `shape` is cut."""
        shape = tuple(shape or mask.shape)
        low = [max(0, -o) for o in offset]
        high = [max(0, min(m, s - o)) for m, s, o in zip(mask.shape, shape, offset)]
        mask = mask[tuple(slice(a, b) for a, b in zip(low, high))]
        box = bounds(mask) if mask.size else None
        if box is None:
            return cls(shape)
        array = (mask[tuple(slice(*side) for side in box)] != 0).astype(np.uint8)
        start = [o + a for o, a in zip(offset, low)]
        return cls(shape, tuple((a + o, b + o) for (a, b), o in zip(box, start)), array)

    def isEmpty(self):
        return self.box is None or not self.array.any()

    def crop(self, box):
        """A new array: the mask inside `box`."""
        out = np.zeros([b - a for a, b in box], np.uint8)
        if self.box is not None:
            common = [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(box, self.box)]
            if all(a < b for a, b in common):
                into = tuple(slice(a - o, b - o) for (a, b), (o, _) in zip(common, box))
                out[into] = self.array[tuple(slice(a - o, b - o) for (a, b), (o, _) in zip(common, self.box))]
        return out

    def full(self):
        return self.crop([(0, side) for side in self.shape])

    def slice(self, axis, number):
        """The mask of one slice."""
        box = [(0, side) for side in self.shape]
        box[axis] = (number, number + 1)
        return self.crop(box).squeeze(axis)

    def slicesHeld(self, axis):
        """The numbers of the slices that are not empty."""
        if self.box is None:
            return []
        held = self.array.any(axis=tuple(a for a in range(3) if a != axis))
        return [int(n) + self.box[axis][0] for n in np.flatnonzero(held)]

    def withSlice(self, axis, number, mask):
        """This mask with one slice replaced."""
        plane = np.expand_dims(np.asarray(mask), axis)
        offset = [0, 0, 0]
        offset[axis] = number
        drawn = Region.fromMask(plane, offset, self.shape)
        box = unionOfBoxes(self.box, drawn.box)
        if box is None:
            return Region(self.shape)
        array = self.crop(box)
        if box[axis][0] <= number < box[axis][1]:
            array[tuple([slice(None)] * axis + [number - box[axis][0]])] = drawn.crop(box).take(
                number - box[axis][0], axis=axis
            )
        return Region(self.shape, box, array)

    def changesTo(self, other):
        """(box, added, removed): what must be set and cleared to turn this mask into `other`; None when nothing."""
        around = unionOfBoxes(self.box, other.box)
        if around is None:
            return None
        before, after = self.crop(around), other.crop(around)
        box = bounds(before != after)
        if box is None:
            return None
        inner = tuple(slice(*side) for side in box)
        before, after = before[inner], after[inner]
        box = tuple((a + o, b + o) for (a, b), (o, _) in zip(box, around))
        return box, (after > before).astype(np.uint8), (before > after).astype(np.uint8)

    def withChanges(self, box, added, removed):
        """This mask with voxels of the box set and cleared."""
        around = unionOfBoxes(self.box, box)
        array = self.crop(around)
        inner = tuple(slice(a - o, b - o) for (a, b), (o, _) in zip(box, around))
        array[inner] = (array[inner] | added) & ~removed & 1
        return Region(self.shape, around, array)

    def checksum(self):
        """The same for equal masks, whatever their boxes."""
        box = bounds(self.array) if self.box is not None else None
        if box is None:
            return 0
        inner = np.ascontiguousarray(self.array[tuple(slice(*side) for side in box)])
        place = tuple((a + o, b + o) for (a, b), (o, _) in zip(box, self.box))
        return zlib.crc32(repr(place).encode("ascii"), zlib.crc32(inner.tobytes()))
