"""Gives slice views the keyboard: Qt sends keys to the widget with the focus, which a view gets by a click only."""

import qt

# Who has one of these properties is typed into: line edits, texts, spin boxes.
_TYPED_INTO = ("cursorPosition", "cursorWidth", "keyboardTracking")


def takeKeys(viewWidget, panel):
    """Gives the view the focus, unless the user is typing outside of `panel`."""
    holder = qt.QApplication.focusWidget()
    if holder is not None and not panel.isAncestorOf(holder):
        if any(holder.property(name) is not None for name in _TYPED_INTO):
            return
    view = viewWidget.sliceView()
    # The OpenGL widget inside takes the keys.
    inside = [child for child in view.children() if child.property("focusPolicy")]
    (inside or [view])[0].setFocus()
