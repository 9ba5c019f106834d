"""The effect's options, kept with the scene: parameters of the Segment Editor's node."""

from .Native import BOX, EXTREME_POINTS, SCRIBBLE

# What is drawn with these lies inside of the structure.
INSIDE_ONLY = (BOX, EXTREME_POINTS)
DEFAULTS = {"kind": SCRIBBLE, "negative": 0, "radiusMm": 0.0, "autoPropagate": 0, "autoApply": 0, "takeFromOthers": 0}


def setDefaults(scriptedEffect):
    for name, value in DEFAULTS.items():
        scriptedEffect.setParameterDefault(name, str(value))


def read(scriptedEffect):
    """All of them: "kind" is a number, "radiusMm" a length, the others are switches."""
    values = {name: scriptedEffect.integerParameter(name) != 0 for name in DEFAULTS}
    values["kind"] = scriptedEffect.integerParameter("kind")
    values["negative"] = values["negative"] and values["kind"] not in INSIDE_ONLY
    values["radiusMm"] = scriptedEffect.doubleParameter("radiusMm")
    return values


def write(scriptedEffect, name, value):
    scriptedEffect.setParameter(name, str(value) if isinstance(value, float) else str(int(value)))
