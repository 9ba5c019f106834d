"""What a session was last drawn on: the segment and the axis that its calls use by default."""

from __future__ import annotations

from typing import Any, Optional

# Segment and axis; None before the first drawing.
Place = Optional[tuple[int, int]]
# As many steps as a session can undo at most (undo_depth in mem3d.h).
_MOST_STEPS = 10000


class Drawn:
    """Segment and axis last drawn on. They go back and forth with undo and redo, as the library's own axis does."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self._here: Place = None
        # Those before the steps that can be undone, and after those that were.
        self._past: list[Place] = []
        self._future: list[Place] = []

    def place(self) -> Place:
        """Segment and axis. Where they are not known, as in a session that the command saved: the first segment, along
        the axis of its last propagation, or one with annotated slices."""
        if self._here is not None:
            return self._here
        for segment in self._native.segments():
            best = self._native.suggestSlice(segment)
            if best is not None:
                return int(segment), int(best.axis)
            for axis in range(3):
                if self._native.annotatedSlices(segment, axis):
                    return int(segment), axis
        return None

    def segment(self) -> int:
        """The segment last drawn for; the first one where that is gone."""
        there, place = self._native.segments(), self.place()
        return place[0] if place is not None and place[0] in there else next(iter(there), 1)

    def axis(self) -> int:
        """The axis last drawn on, or 0."""
        place = self.place()
        return 0 if place is None else place[1]

    def on(self, place: Place) -> None:
        """After a step that drew there; None for one that removed everything."""
        self._past.append(self._here)
        del self._past[:-_MOST_STEPS]
        self._here, self._future = place, []

    def elsewhere(self) -> None:
        """After a step that drew on no slice."""
        self.on(self._here)

    def undone(self) -> None:
        """After undo of a step."""
        self._future.append(self._here)
        self._here = self._past.pop() if self._past else None

    def redone(self) -> None:
        """After redo of a step."""
        self._past.append(self._here)
        self._here = self._future.pop() if self._future else None

    def saved(self) -> dict[str, Any]:
        """All of it, for a file."""
        return {"past": self._past, "here": self._here, "future": self._future}

    def restore(self, saved: Any) -> None:
        """What :meth:`saved` gave; TypeError, ValueError or KeyError for something else."""
        past, future = ([_place(place) for place in saved[name]] for name in ("past", "future"))
        self._past, self._here, self._future = past, _place(saved["here"]), future


def _place(value: Any) -> Place:
    if value is None:
        return None
    segment, axis = value
    if not isinstance(segment, int) or axis not in (0, 1, 2):
        raise ValueError(f"{value} is no segment and axis")
    return segment, axis
