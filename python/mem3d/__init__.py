"""Interactive 3D segmentation of medical volumes: annotate one slice, propagate, correct the slice it suggests.

    import mem3d, SimpleITK

    session = mem3d.Session(SimpleITK.ReadImage("ct.nii.gz"))
    session.box([[20, 60, 80], [20, 95, 130]], segment="liver")
    session.propagate(progress=True)
    print(session.suggest())
    SimpleITK.WriteImage(session.to_sitk(), "liver.nii.gz")

The engine is libmem3d, through its C interface; libtorch 2.11 comes from the installed `torch`, or from LIBTORCH.
"""

from ._calls import compare, evaluate, segment
from ._images import Geometry
from ._model import Model, ModelInfo
from ._native.NativeErrors import (
    BadModelError,
    BusyError,
    CancelledError,
    Error,
    FileError,
    InternalError,
    InvalidArgumentError,
    InvalidStateError,
    LibraryNotFoundError,
    NoMemoryError,
    TorchError,
    UnsupportedError,
)
from ._results import Suggestion
from ._session import Session
from ._version import __version__
from .dicom import read_dicom

__all__ = [
    "BadModelError",
    "BusyError",
    "CancelledError",
    "Error",
    "FileError",
    "Geometry",
    "InternalError",
    "InvalidArgumentError",
    "InvalidStateError",
    "LibraryNotFoundError",
    "Model",
    "ModelInfo",
    "NoMemoryError",
    "Session",
    "Suggestion",
    "TorchError",
    "UnsupportedError",
    "__version__",
    "compare",
    "evaluate",
    "read_dicom",
    "segment",
]
