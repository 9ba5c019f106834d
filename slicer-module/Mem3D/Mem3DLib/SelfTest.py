"""A try of the installation: library, model and engine on a small made-up volume. No MRML, no Qt; for the worker's
thread or a script.
"""

import time
from collections import namedtuple

import numpy as np

from .Engine import makeEngine
from .Native import AXIS_DEPTH, BOX, CLICK, EXTREME_POINTS, SCRIBBLE

SHAPE, SPACING_MM, RADIUS_MM = (16, 96, 96), (3.0, 1.0, 1.0), 21.0
MIDDLE = [side // 2 for side in SHAPE]

Result = namedtuple("Result", "info startSeconds interactionSeconds roundSeconds slices dice")


def tryEngine(settings, environment=None):
    """Segments a bright ball with these settings; raises what goes wrong. `environment`: of a helper process."""
    volume, ball = _volume()
    engine = makeEngine(settings, environment)
    try:
        times = [time.monotonic()]
        info = engine.start(settings)
        geometry = {"spacingMm": SPACING_MM, "originMm": (0, 0, 0), "direction": np.eye(3)[::-1]}
        engine.openSession(volume, geometry, settings.sessionOptions())
        times.append(time.monotonic())
        kind = info["interactionKinds"][0]
        engine.call("interact", 1, AXIS_DEPTH, MIDDLE[0], kind, points=_points(kind))
        times.append(time.monotonic())
        slices = engine.call("propagate", 1, AXIS_DEPTH)
        times.append(time.monotonic())
        mask = engine.call("readMask", 1) != 0
    finally:
        engine.close()
    dice = 2.0 * np.count_nonzero(mask & ball) / (np.count_nonzero(mask) + np.count_nonzero(ball))
    return Result(info, *np.diff(times).tolist(), slices, dice)


def sentence(result):
    """What a user wants to know of it."""
    return (
        "It works. Loading took %.1f s, an interaction %.2f s, the propagation through %d slices %.1f s. The mask "
        "overlaps the made-up ball by a Dice coefficient of %.2f." % (
            result.startSeconds, result.interactionSeconds, result.slices, result.roundSeconds, result.dice
        )
    )


def _volume():
    # A ball of soft tissue in fat, with the noise of a CT.
    distances = np.ogrid[tuple(slice(-m, side - m) for m, side in zip(MIDDLE, SHAPE))]
    ball = sum((d * s) ** 2 for d, s in zip(distances, SPACING_MM)) < RADIUS_MM**2
    noise = np.random.default_rng(1).normal(0, 12, SHAPE)
    return (np.where(ball, 60, -90) + noise).astype(np.int16), ball


def _points(kind):
    reach = RADIUS_MM / SPACING_MM[1]
    around = {
        SCRIBBLE: [(-0.5, -0.5), (0, 0), (0.5, 0.5)],
        BOX: [(-1, -1), (1, 1)],
        EXTREME_POINTS: [(-1, 0), (1, 0), (0, -1), (0, 1)],
        CLICK: [(0, 0)],
    }[kind]
    return np.array([[MIDDLE[0], MIDDLE[1] + h * reach, MIDDLE[2] + w * reach] for h, w in around])
