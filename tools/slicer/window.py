"""A stand-in for Slicer's window at a given size: the Segment Editor's parts around an effect's panel, about as
high as in Slicer 5.8, and four views. Shows what of the panel is seen without scrolling."""

import numpy as np
from PySide6 import QtCore, QtGui, QtWidgets

EFFECTS = "None Threshold Paint Draw Erase Level Grow Fill Margin Hollow Smooth Scissors Islands Logical Mask".split()
HELP = 'Segments a structure from a few strokes... <a href="#">Show details.</a>'
PANEL_WIDTHS = {1366: 400, 1920: 500}


def _row(*widgets):
    row = QtWidgets.QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row


def _chooser(label, text):
    box = QtWidgets.QComboBox()
    box.addItem(text)
    name = QtWidgets.QLabel(label)
    name.setFixedWidth(110)
    box.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
    return _row(name, box)


def _bar(text, height, color="#dfe2e6"):
    bar = QtWidgets.QLabel(" " + text)
    bar.setFixedHeight(height)
    bar.setStyleSheet("background: %s; color: #303030;" % color)
    return bar


def _table(segment, color):
    table = QtWidgets.QTableWidget(1, 4)
    table.setHorizontalHeaderLabels(["", "Color", "Opacity", "Name"])
    table.horizontalHeader().setStretchLastSection(True)
    table.setColumnWidth(0, 30)
    shade = QtWidgets.QTableWidgetItem()
    shade.setBackground(QtGui.QColor.fromRgbF(*color))
    for column, item in ((1, shade), (2, QtWidgets.QTableWidgetItem("1.00")), (3, QtWidgets.QTableWidgetItem(segment))):
        table.setItem(0, column, item)
    table.verticalHeader().setVisible(False)
    table.setFixedHeight(120)
    return table


def _editor(frame, volume, segment, color):
    content = QtWidgets.QWidget()
    column = QtWidgets.QVBoxLayout(content)
    column.setSpacing(6)
    column.addWidget(_bar("Help & Acknowledgement", 22))
    column.addLayout(_chooser("Segmentation:", "Segmentation"))
    column.addLayout(_chooser("Source volume:", volume))
    column.addLayout(_row(*(QtWidgets.QPushButton(text) for text in ("Add", "Remove", "Show 3D", "Segmentations"))))
    column.addWidget(_table(segment, color))
    effects, grid = QtWidgets.QFrame(), QtWidgets.QGridLayout()
    effects.setLayout(grid)
    grid.setSpacing(2)
    grid.setContentsMargins(0, 0, 0, 0)
    for number, name in enumerate([*EFFECTS, "Mem3D"]):
        button = QtWidgets.QToolButton()
        button.setText(name)
        button.setFixedSize(42, 34)
        button.setCheckable(True)
        button.setChecked(name == "Mem3D")
        grid.addWidget(button, number // 8, number % 8)
    column.addWidget(effects)
    options = QtWidgets.QGroupBox("Mem3D")
    inside = QtWidgets.QVBoxLayout(options)
    inside.setContentsMargins(4, 4, 4, 4)
    inside.addWidget(QtWidgets.QLabel(HELP))
    inside.addWidget(frame)
    column.addWidget(options)
    column.addWidget(_bar("Masking", 22))
    column.addStretch(1)
    return content


def _picture(array, width, height):
    array = np.ascontiguousarray(array)
    image = QtGui.QImage(array.data, array.shape[1], array.shape[0], 3 * array.shape[1], QtGui.QImage.Format_RGB888)
    label = QtWidgets.QLabel()
    label.setAlignment(QtCore.Qt.AlignCenter)
    label.setStyleSheet("background: black;")
    scaled = QtGui.QPixmap.fromImage(image).scaled(
        width, height, QtCore.Qt.KeepAspectRatioByExpanding, QtCore.Qt.SmoothTransformation
    )
    left, top = (scaled.width() - width) // 2, (scaled.height() - height) // 2
    label.setPixmap(scaled.copy(left, top, width, height))
    label.setFixedSize(width, height)
    return label


def save(path, size, frame, pictures, volume, segment, color):
    """The window with the effect's panel `frame` in it, and with these four pictures [rows, columns, red green blue];
    gives the names of the panel's widgets that are seen whole. The panel stays in the window."""
    width, height = size
    panelWidth = PANEL_WIDTHS[width]
    window = QtWidgets.QWidget()
    window.setFixedSize(width, height)
    rows = QtWidgets.QVBoxLayout(window)
    rows.setContentsMargins(0, 0, 0, 0)
    rows.setSpacing(0)
    rows.addWidget(_bar("File   Edit   View   Help", 24))
    rows.addWidget(_bar("Modules:  Segment Editor", 38))
    area = QtWidgets.QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
    area.setWidget(_editor(frame, volume, segment, color))
    left = QtWidgets.QVBoxLayout()
    left.setSpacing(0)
    left.addWidget(area)
    left.addWidget(_bar("Data Probe", 90))
    panel = QtWidgets.QWidget()
    panel.setLayout(left)
    left.setContentsMargins(0, 0, 0, 0)
    panel.setFixedWidth(panelWidth)
    views, side = QtWidgets.QGridLayout(), ((width - panelWidth - 6) // 2, (height - 24 - 38 - 22 - 6) // 2)
    views.setSpacing(2)
    for number, picture in enumerate(pictures):
        views.addWidget(_picture(picture, *side), number // 2, number % 2)
    middle = QtWidgets.QHBoxLayout()
    middle.setSpacing(2)
    middle.addWidget(panel)
    middle.addLayout(views)
    rows.addLayout(middle)
    rows.addWidget(_bar("", 22))
    frame.show()
    window.show()
    for _ in range(3):
        QtWidgets.QApplication.processEvents()
    seen = []
    for widget in frame.findChildren(QtWidgets.QWidget):
        if widget.objectName() and widget.isVisible():
            if widget.visibleRegion().boundingRect().size() == widget.size():
                seen.append(widget.objectName())
    if path is not None:
        window.grab().toImage().convertToFormat(QtGui.QImage.Format_RGB888).save(str(path), "JPG", 85)
    return window, seen
