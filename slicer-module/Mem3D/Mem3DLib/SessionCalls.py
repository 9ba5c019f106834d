"""What a step of the session does on the worker's thread: engine calls in order, then what changed. No MRML here."""

from collections import namedtuple

from .Regions import Region

# Undo steps looked at for a state that the user went back to; the engine keeps 50.
MAX_REWIND = 50

Outcome = namedtuple("Outcome", "result masks quality annotated suggestion")


class Opening:
    """A session to open once, by whichever step comes first. `volume()` gives its voxels."""

    def __init__(self, volume, geometry):
        self._arguments = (volume, geometry)

    def open(self, keeper):
        if self._arguments is not None:
            volume, geometry = self._arguments
            keeper.open(volume(), geometry)
            self._arguments = None


def perform(keeper, job, opening, number, axis, calls, final, sliceOf=None, others=None):
    """Opens the session if that is still to be done; brings the engine up to date by `calls`; does
    `final(keeper, job)`; gives the Outcome for segment `number`. `sliceOf`: (mask, axis, slice) when all that `final`
    does is to give the mask of that slice. `others`: {number: checksum} of the other segments,
    whose masks are read, too."""
    opening.open(keeper)
    for name, arguments in calls:
        if name == "_rewind":
            _rewind(keeper, *arguments, others=others or {})
        else:
            keeper.call(name, *arguments)
    result = final(keeper, job)
    known = keeper.call("segments")
    if sliceOf is not None and not calls:
        before, drawnAxis, drawnSlice = sliceOf
        masks = {number: before.withSlice(drawnAxis, drawnSlice, result)}
    else:
        masks = {number: _mask(keeper, number, known)}
    for other in others or ():
        masks[other] = _mask(keeper, other, known)
    quality, annotated, suggestion = None, [], None
    if number in known:
        quality = keeper.call("readQuality", number, axis)
        annotated = keeper.call("annotatedSlices", number, axis)
        suggestion = keeper.call("suggestSlice", number)
    return Outcome(result, masks, quality, annotated, suggestion)


def _mask(keeper, number, known):
    return Region.fromMask(keeper.call("readMask", number)) if number in known else None


def _rewind(keeper, number, checksum, content, others):
    """Brings the engine back (or forward again) to where the segment's mask had `checksum`. Where that would change
    other segments, or the engine has forgotten, `content` becomes the segment's start instead."""
    if _has(keeper, number, checksum):
        return
    for there, back in (("undo", "redo"), ("redo", "undo")):
        steps = 0
        while steps < MAX_REWIND and keeper.call(there):
            steps += 1
            if _has(keeper, number, checksum):
                if all(_has(keeper, other, known) for other, known in others.items()):
                    return
                break
        for _ in range(steps):
            keeper.call(back)
    keeper.call("reset", number)
    if content.any():
        keeper.call("setMask", number, content)


def _has(keeper, number, checksum):
    mask = _mask(keeper, number, keeper.call("segments"))
    return (mask.checksum() if mask is not None else 0) == checksum
