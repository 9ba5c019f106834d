"""The engine's history, one entry a step as the engine keeps them: so that the user's Undo and Redo take back what the
user did, and with it, but never alone, what the engine was told of the segment's voxels. Used by one thread.
"""

from collections import namedtuple

from .Errors import UserError

# The engine keeps as many.
MAX_STEPS = 50

# A step of the segment `number`. `name`: the session's method, or "start" for the mask that a segment starts from;
# `byUser`: whether the user did it; `drawn`: (axis, slice) of an interaction; `edits`: (box, added, removed) that the
# engine was told with it, or None.
Step = namedtuple("Step", "number name byUser drawn edits")


class Steps:
    """`past`: the last step last; `future`: what was undone, the step to redo next last; `position`: how many steps
    lead to the present state."""

    def __init__(self):
        self.past = []
        self.future = []
        self.position = 0

    def add(self, step):
        """After each change of the session."""
        self.past = [*self.past, step][-MAX_STEPS:]
        self.future = []
        self.position += 1

    def undo(self, keeper):
        """Takes back one step; gives it, or None when there is none."""
        return self._move(keeper, "undo", self.past, self.future, -1)

    def redo(self, keeper):
        """Does the next step again; gives it, or None when there is none."""
        return self._move(keeper, "redo", self.future, self.past, 1)

    def _move(self, keeper, name, source, target, by):
        if not source or not keeper.call(name):
            return None
        target.append(source.pop())
        self.position += by
        return target[-1]

    def goTo(self, keeper, position):
        """Goes back to an earlier position, and forgets what lies behind it; or forward again."""
        if self.position > position:
            while self.position > position and self.undo(keeper):
                pass
            self.future = []
        while self.position < position and self.redo(keeper):
            pass

    def undoOfUser(self, keeper, number, names):
        """Takes back the last step of the user, and what the engine was told since: gives these steps, [] when there
        is nothing to undo. `names`: of the segments that are there, by number.

        Raises UserError when that step was for another segment than `number`."""
        return self._moveOfUser(keeper, number, names, self.past, self.undo, self.redo, "undo")

    def redoOfUser(self, keeper, number, names):
        """The same forward."""
        return self._moveOfUser(keeper, number, names, self.future, self.redo, self.undo, "redo")

    @staticmethod
    def _moveOfUser(keeper, number, names, source, move, back, verb):
        last = next((step for step in reversed(source) if step.byUser and step.number in names), None)
        if last is None:
            return []
        if last.number != number:
            name = names[last.number]
            raise UserError("The last step was for the segment %s. Select it to %s that." % (name, verb))
        moved = []
        while not moved or moved[-1] is not last:
            step = move(keeper)
            if step is None:  # the engine has forgotten it
                for _ in moved:
                    back(keeper)
                return []
            moved.append(step)
        return moved

    def drawnOf(self, number):
        """The slices, as (axis, slice), that were drawn on for the segment since it was started."""
        found = set()
        for step in self.past:
            if step.number == number:
                if step.name in ("start", "reset"):
                    found.clear()
                elif step.drawn is not None:
                    found.add(step.drawn)
        return found
