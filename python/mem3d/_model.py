"""The library, opened once, and models."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, NamedTuple

from . import _libtorch
from ._native import Native
from ._native.NativeErrors import InvalidArgumentError

DEFAULT = Path(__file__).parent / "models" / "compact.safetensors"
KINDS = {"scribble": Native.SCRIBBLE, "box": Native.BOX, "extreme_points": Native.EXTREME_POINTS, "click": Native.CLICK}
_PRECISIONS = {"auto": 0, "f32": 1, "bf16": 2, "f16": 3}


class ModelInfo(NamedTuple):
    """Name, origin of the weights, their licence, SHA-256 of the file, device, and interactions that are accepted."""

    name: str
    provenance: str
    licence: str
    checksum: str
    device: str
    interactions: tuple[str, ...]


@functools.lru_cache(maxsize=1)
def library() -> Any:
    """The shared library; MEM3D_LIBRARY names another one, which then finds its own libtorch.

    Raises
    ------
    LibraryNotFoundError
        The library or libtorch 2.11 is missing.
    """
    if not os.environ.get("MEM3D_LIBRARY"):
        _libtorch.preload()
    return Native.Library()


class Model:
    """The networks of one model file on one device, shared by sessions and threads.

    Parameters
    ----------
    path : path-like, optional
        Model file; by default MEM3D_MODEL, else the model that comes with mem3d. "random:7" gives random weights made
        from that seed, whose masks mean nothing.
    device : str
        "auto" (CUDA if there is one), "cpu" or "cuda:0", "cuda:1" and so on.
    precision : {"auto", "f32", "bf16", "f16"}
        Number format of the arithmetic; "f16" on CUDA only.

    Raises
    ------
    FileError, BadModelError
        The file cannot be read, or is no model.
    UnsupportedError
        The device or the precision is not there.
    LibraryNotFoundError
        libtorch 2.11 is missing.

    Examples
    --------
    >>> import mem3d
    >>> mem3d.Model(device="cpu").info.interactions
    ('scribble', 'box', 'extreme_points', 'click')
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, device: str = "auto", precision: str = "auto"
    ) -> None:
        if precision not in _PRECISIONS:
            raise InvalidArgumentError(f"precision is {precision!r}; use one of {', '.join(_PRECISIONS)}")
        name = os.fspath(path or os.environ.get("MEM3D_MODEL") or DEFAULT)
        word, _, seed = name.partition(":")
        if word == "random":
            if seed and not seed.lstrip("-").isdecimal():
                raise InvalidArgumentError(f"model is {name!r}; a seed is a whole number, e.g. random:7")
            self._native = library().randomModel(0, int(seed or 1), device, _PRECISIONS[precision])
        else:
            self._native = library().loadModel(name, device, _PRECISIONS[precision])

    @property
    def info(self) -> ModelInfo:
        """Description of the model."""
        raw = self._native.info()
        kinds = tuple(name for name, number in KINDS.items() if number in raw.interactionKinds)
        return ModelInfo(raw.name, raw.provenance, raw.licence, raw.checksum, raw.device, kinds)

    def __repr__(self) -> str:
        info = self.info
        return f"<mem3d.Model {info.name} on {info.device}>"


@functools.lru_cache(maxsize=4)
def shared(path: str | None, device: str) -> Model:
    """A model that is loaded once."""
    return Model(path, device)
