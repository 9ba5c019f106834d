"""Mouse events in a slice view to interactions: what is being drawn, and when it is done. No Slicer, no Qt."""

from .Native import BOX, CLICK, EXTREME_POINTS, SCRIBBLE

EXTREME_COUNT = 4
# A press and a release closer than this, in pixels, are a click and not a drag.
CLICK_PIXELS = 4


class Gesture:
    """What is drawn in one slice view. `points`: positions in RAS; `view`: what stands for the view of the points."""

    def __init__(self, kind=SCRIBBLE):
        self.kind = kind
        self.clear()

    def clear(self):
        self.points = []
        self.view = None
        self.plane = None
        self._start = None
        self._dragging = False

    def setKind(self, kind):
        if kind != self.kind:
            self.kind = kind
            self.clear()

    @property
    def dragging(self):
        return self._dragging

    def press(self, view, plane, xy, ras):
        """The button goes down. `plane`: anything that compares equal as long as the view shows the same slice."""
        if view != self.view or plane != self.plane:
            self.clear()
        self.view, self.plane = view, plane
        self._start, self._dragging = xy, True
        if self.kind in (SCRIBBLE, BOX):
            self.points = [tuple(ras)]

    def move(self, xy, ras):
        """The mouse moves with the button down."""
        if not self._dragging:
            return
        if self.kind == SCRIBBLE:
            self.points.append(tuple(ras))
        elif self.kind == BOX:
            self.points = [self.points[0], tuple(ras)]

    def release(self, xy, ras):
        """The button goes up. Gives the finished interaction's points, or None."""
        if not self._dragging:
            return None
        self._dragging = False
        moved = max(abs(a - b) for a, b in zip(xy, self._start))
        if self.kind == SCRIBBLE:
            return self._finished()
        if self.kind == BOX:
            if moved < CLICK_PIXELS:
                self.clear()
                return None
            self.points = [self.points[0], tuple(ras)]
            return self._finished()
        if moved >= CLICK_PIXELS and self.kind == CLICK:
            self.clear()
            return None
        self.points.append(tuple(ras))
        if self.kind == CLICK or len(self.points) == EXTREME_COUNT:
            return self._finished()
        return None

    def removeLast(self):
        """Takes back the last of the extreme points; whether there was one."""
        if self.kind != EXTREME_POINTS or not self.points:
            return False
        self.points.pop()
        return True

    def _finished(self):
        points = self.points
        self.points = []
        self.plane = None
        return points
