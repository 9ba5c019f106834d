"""The .ui files of the module, and their widgets by name. Qt, no MRML."""

import os

import qt
import slicer

RESOURCES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Resources")


def load(name):
    """The widget of Resources/UI/NAME.ui, and everything in it by its name."""
    widget = slicer.util.loadUI(os.path.join(RESOURCES, "UI", name + ".ui"))
    return widget, _namedChildren(widget)


def icon(name, firstSize=None):
    """Resources/Icons/NAME.png. `firstSize`: pixels of a small copy, which is the first of the icon's sizes."""
    drawn = qt.QPixmap(os.path.join(RESOURCES, "Icons", name + ".png"))
    if firstSize is None:
        return qt.QIcon(drawn)
    made = qt.QIcon(drawn.scaled(firstSize, firstSize, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation))
    made.addPixmap(drawn)
    return made


def _namedChildren(widget):
    found = {}
    for child in widget.children():
        name = child.property("objectName")
        if name:
            found[name] = child
        found.update(_namedChildren(child))
    return found
