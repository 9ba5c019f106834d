"""What the strip of per-slice quality shows, in the effect's panel and in a browser. No Slicer, no Qt."""

from collections import namedtuple

BAR = (90, 160, 90)
LOW = (205, 80, 70)
EMPTY = (112, 118, 126)
ANNOTATED = (70, 120, 215)
SUGGESTED = (240, 150, 30)
BACKGROUND = (45, 48, 54)
# Below this a bar is low: half of the mask may be wrong.
LOW_QUALITY = 0.5

# `quality`: one value 0..1 a slice, None for nothing to show; `annotated`: slices drawn on or accepted; `suggested`:
# the one to correct next, or None; `held`: the slices with something of the mask.
Strip = namedtuple("Strip", "quality annotated suggested held")
Bar = namedtuple("Bar", "height color marked")


def stripOf(state):
    """Of a SegmentState, or of None, along the axis drawn on."""
    if state is None:
        return Strip(None, frozenset(), None, None)
    quality, annotated = state.quality.get(state.axis), state.markedSlices()
    if quality is not None and not any(q > 0 for n, q in enumerate(quality) if n not in annotated):
        quality = [0.0] * len(quality)  # nothing was propagated: there is nothing to judge but what was drawn
    suggestion = state.suggestion
    suggested = suggestion.slice if suggestion is not None and suggestion.axis == state.axis else None
    held = state.engineMask.slicesHeld(state.axis)
    quality = None if quality is None else tuple(float(q) for q in quality)
    return Strip(quality, frozenset(annotated), suggested, frozenset(held))


def bars(strip):
    """One a slice: its height 0..1, its colour, and whether it is seen where it has no height, too."""
    found = []
    for number, value in enumerate(strip.quality or ()):
        color = BAR if strip.held is None or number in strip.held else EMPTY
        if value < LOW_QUALITY:
            color = LOW
        if number in strip.annotated:
            color = ANNOTATED
        if number == strip.suggested:
            color = SUGGESTED
        marked = number in strip.annotated or number == strip.suggested
        found.append(Bar(min(max(value, 0.0), 1.0), color, marked))
    return found


def sentence(strip, current=None):
    """In words; `current`: the slice that is seen, or None."""
    if strip.quality is None:
        return "Draw on a slice, then propagate."
    text = "%d of %d slices drawn on or accepted." % (len(strip.annotated), len(strip.quality))
    if not any(strip.quality):
        return text + " Propagate to see the others' quality."
    if current is not None and 0 <= current < len(strip.quality):
        text += " Slice %d: quality %.2f." % (current, strip.quality[current])
    if strip.suggested is not None:
        text += " Correct slice %d next." % strip.suggested
    return text
