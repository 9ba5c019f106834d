"""The strip of per-slice quality: one bar a slice, painted into a label, that can be clicked. Qt, no Slicer."""

import qt

BAR = (90, 160, 90)
LOW = (205, 80, 70)
EMPTY = (112, 118, 126)
ANNOTATED = (70, 120, 215)
SUGGESTED = (240, 150, 30)
CURRENT = (255, 255, 255)
BACKGROUND = (45, 48, 54)
# Below this a bar is painted as low: half of the mask may be wrong.
LOW_QUALITY = 0.5


class _Clicks(qt.QObject):
    """Tells `onClick(x, width)` where its label was pressed or dragged, and `onResize()` when its size changed."""

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
        self._shown = None
        self._clicks = _Clicks(label, self._clicked, self._paint)
        label.installEventFilter(self._clicks)

    def show(self, quality, annotated=(), suggested=None, current=None, held=None):
        """One value 0..1 a slice; None for nothing to show. `held`: the slices with something of the mask; the bars of
        the others are grey."""
        quality = None if quality is None else [float(q) for q in quality]
        shown = (quality, set(annotated), suggested, current, None if held is None else set(held))
        if shown != self._shown:
            self._shown = shown
            self._paint()

    def close(self):
        self._label.removeEventFilter(self._clicks)

    def _clicked(self, x, width):
        quality = self._shown[0] if self._shown else None
        if quality:
            number = int(x * len(quality) / max(width, 1))
            self._onSlice(min(max(number, 0), len(quality) - 1))

    def _paint(self):
        width, height = self._label.property("width"), self._label.property("height")
        if width < 2 or height < 2:
            return
        pixmap = qt.QPixmap(width, height)
        pixmap.fill(qt.QColor(*BACKGROUND))
        if self._shown is not None and self._shown[0]:
            painter = qt.QPainter(pixmap)
            self._paintBars(painter, width, height)
            painter.end()
        self._label.setPixmap(pixmap)

    def _paintBars(self, painter, width, height):
        quality, annotated, suggested, current, held = self._shown
        for number, value in enumerate(quality):
            left = number * width // len(quality)
            right = max((number + 1) * width // len(quality), left + 1)
            gap = 1 if right - left > 3 else 0
            color = BAR if held is None or number in held else EMPTY
            if value < LOW_QUALITY:
                color = LOW
            if number in annotated:
                color = ANNOTATED
            if number == suggested:
                color = SUGGESTED
            tall = int(min(max(value, 0.0), 1.0) * (height - 10))
            if tall > 0:
                painter.fillRect(left, height - 4 - tall, right - left - gap, tall, qt.QColor(*color))
            if number in annotated or number == suggested:  # seen where there is no bar, too
                painter.fillRect(left, height - 4, right - left, 4, qt.QColor(*color))
        if current is not None and 0 <= current < len(quality):
            middle = (2 * current + 1) * width // (2 * len(quality))
            painter.fillRect(middle, 0, 1, height, qt.QColor(*CURRENT))
