"""The .ui files of the module, and their widgets by name. Qt, no MRML."""

import os

import slicer

RESOURCES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Resources")


def load(name):
    """The widget of Resources/UI/NAME.ui, and everything in it by its name."""
    widget = slicer.util.loadUI(os.path.join(RESOURCES, "UI", name + ".ui"))
    return widget, _namedChildren(widget)


def _namedChildren(widget):
    found = {}
    for child in widget.children():
        name = child.property("objectName")
        if name:
            found[name] = child
        found.update(_namedChildren(child))
    return found
