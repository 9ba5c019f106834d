"""Renders the icons' drawings (*.svg, beside this file) as the PNG files that Slicer wants. Needs PySide6."""

import sys
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

application = QGuiApplication(sys.argv + ["-platform", "offscreen"])
for drawing in sorted(Path(__file__).parent.glob("*.svg")):
    side = 128 if drawing.stem == "Mem3D" else 64
    image = QImage(side, side, QImage.Format_ARGB32)
    image.fill(Qt.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(drawing)).render(painter)
    painter.end()
    image.save(str(drawing.with_suffix(".png")))
