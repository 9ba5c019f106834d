"""The strip of per-slice quality: one bar a slice, painted into a label, that can be clicked. Qt, no Slicer."""

import qt

from .QualityBars import BACKGROUND, Strip, bars

CURRENT = (255, 255, 255)


class _Clicks(qt.QObject):
    """Calls `onClick(x, width)` when its label is pressed or dragged, `onResize()` when its size changes."""

    def __init__(self, label, onClick, onResize):
        qt.QObject.__init__(self, label)
        self._label = label
        self._onClick = onClick
        self._onResize = onResize

    def eventFilter(self, watched, event):
        kind = event.type()
        if kind == qt.QEvent.MouseButtonPress or kind == qt.QEvent.MouseMove:
            self._onClick(self._positionOf(event).x(), self._label.property("width"))
            return True
        if kind == qt.QEvent.Resize:
            self._onResize()
        return False

    def _positionOf(self, event):
        for name in ("position", "pos"):  # Qt 6, Qt 5
            position = getattr(event, name, None)
            if position is not None:
                return position() if callable(position) else position
        # A PythonQt that hands the event over as a plain QEvent knows no position.
        return self._label.mapFromGlobal(qt.QCursor.pos())


class QualityStrip:
    """Paints into `label`; `onSlice(number)` when a slice is clicked."""

    def __init__(self, label, onSlice):
        self._label = label
        self._onSlice = onSlice
        self._shown = (Strip(None, frozenset(), None, None), None)
        self._clicks = _Clicks(label, self._clicked, self._paint)
        label.installEventFilter(self._clicks)

    def show(self, strip, current=None):
        """A QualityBars.Strip; `current`: the slice that is seen, or None."""
        shown = (strip, current)
        if shown != self._shown:
            self._shown = shown
            self._paint()

    def close(self):
        self._label.removeEventFilter(self._clicks)

    def _clicked(self, x, width):
        count = len(self._shown[0].quality or ())
        if count:
            number = int(x * count / max(width, 1))
            self._onSlice(min(max(number, 0), count - 1))

    def _paint(self):
        width, height = self._label.property("width"), self._label.property("height")
        if width < 2 or height < 2:
            return
        pixmap = qt.QPixmap(width, height)
        pixmap.fill(qt.QColor(*BACKGROUND))
        if self._shown[0].quality:
            painter = qt.QPainter(pixmap)
            self._paintBars(painter, width, height)
            painter.end()
        self._label.setPixmap(pixmap)

    def _paintBars(self, painter, width, height):
        strip, current = self._shown
        shown = bars(strip)
        for number, bar in enumerate(shown):
            left = number * width // len(shown)
            right = max((number + 1) * width // len(shown), left + 1)
            gap = 1 if right - left > 3 else 0
            tall = int(bar.height * (height - 10))
            if tall > 0:
                painter.fillRect(left, height - 4 - tall, right - left - gap, tall, qt.QColor(*bar.color))
            if bar.marked:
                painter.fillRect(left, height - 4, right - left, 4, qt.QColor(*bar.color))
        if current is not None and 0 <= current < len(shown):
            middle = (2 * current + 1) * width // (2 * len(shown))
            painter.fillRect(middle, 0, 1, height, qt.QColor(*CURRENT))
