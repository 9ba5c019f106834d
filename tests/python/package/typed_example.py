"""An example that mypy --strict and pyright accept."""

from __future__ import annotations

import mem3d
import numpy as np
import numpy.typing as npt


def segment(volume: npt.NDArray[np.int16], spacing: tuple[float, float, float]) -> npt.NDArray[np.bool_]:
    with mem3d.Session(volume, spacing=spacing, device="cpu") as session:
        on_slice: npt.NDArray[np.bool_] = session.box([[12, 8], [36, 32]], slice=6, segment="liver")
        session.scribble([[6, 20, 10], [6, 24, 20]], positive=bool(on_slice.any()))
        updated: int = session.propagate(progress=lambda done, total: done < total or True)
        suggestion: mem3d.Suggestion | None = session.suggest()
        if suggestion is not None and updated > 0:
            session.accept(suggestion.slice, suggestion.axis, segment=suggestion.segment)
        quality: npt.NDArray[np.float32] = session.quality
        print(session.segments, float(quality.mean()), session.geometry.spacing)
        return session.mask("liver")


labels: npt.NDArray[np.uint16] = mem3d.segment(np.zeros((4, 8, 8)), [{"kind": "click", "points": [[1, 2, 3]]}])
figures: dict[str, float | None] = mem3d.compare(labels, labels)
