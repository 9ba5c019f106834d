"""A bright ball in a small volume: draw one stroke, propagate, follow the suggestion.

Usage: hello.py [MODEL.safetensors]; without a model, random weights show the calls (their masks mean nothing).
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "slicer-module" / "Mem3D"))
from Mem3DLib.Native import AXIS_DEPTH, SCRIBBLE, Library

z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
volume = np.where(x * x + y * y + z * z < 144, 300, 0).astype(np.int16)

library = Library()
with library.loadModel(sys.argv[1]) if len(sys.argv) > 1 else library.randomModel() as model:
    with model.openSession(volume, spacingMm=(3.0, 1.0, 1.0)) as session:
        session.interact(1, AXIS_DEPTH, 6, SCRIBBLE, points=[[6, 18, 14], [6, 24, 20], [6, 30, 26]])
        updated = session.propagate(onSlice=lambda p: print(f"\r{p.done} of {p.total} slices", end="") or True)
        mask = session.readMask(1)
        print(f"\n{updated} slices updated, {mask.sum()} voxels inside")
        suggestion = session.suggestSlice()
        if suggestion:
            print(f"correct slice {suggestion.slice} next")
