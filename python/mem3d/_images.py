"""Volumes of the libraries that people use, as arrays [depth, height, width] with their place in LPS, and back."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native.Native import SCALAR_TYPES
from ._native.NativeErrors import InvalidArgumentError

_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
# Millimetres of the units of length of NIfTI.
_UNITS = {"mm": 1.0, "meter": 1000.0, "micron": 0.001}
# Their codes in the lowest three bits of xyzt_units; 0 is unknown.
_UNIT_CODES = {1: "meter", 2: "mm", 3: "micron"}


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the voxels of a volume lie.

    Attributes
    ----------
    shape : tuple of int
        Voxels along depth, height and width.
    spacing : tuple of float
        Distance of neighbouring voxel centres along each axis, mm.
    origin : tuple of float
        Position of voxel [0, 0, 0], mm, LPS.
    direction : ndarray, shape (3, 3)
        One row for each axis: the unit vector in LPS in which its index grows.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: npt.NDArray[np.float64]

    def to_voxels(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Indices [depth, height, width] of points in millimetres, LPS."""
        axes = self.direction * np.array(self.spacing)[:, None]
        return np.asarray((points - np.array(self.origin)) @ np.linalg.inv(axes))

    def to_physical(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Points in millimetres, LPS, of indices [depth, height, width]."""
        return np.asarray(points @ (self.direction * np.array(self.spacing)[:, None]) + np.array(self.origin))


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels, their geometry, and what they were given as: numpy, SimpleITK, itk, nibabel or dicom."""

    voxels: npt.NDArray[Any]
    geometry: Geometry
    kind: str
    source: Any


def _plain(voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same values in a type that the library reads; refused where one would change."""
    if isinstance(voxels, np.ma.MaskedArray):
        if np.ma.getmaskarray(voxels).any():
            raise InvalidArgumentError("image is a masked array; fill the masked voxels first: image.filled(value)")
        voxels = voxels.filled()
    if voxels.dtype.name in SCALAR_TYPES:
        return voxels
    if voxels.dtype.kind not in "biuf":
        raise InvalidArgumentError(f"image is of type {voxels.dtype}; give one number for each voxel")
    wanted = {"bool": "uint8", "float16": "float32"}.get(voxels.dtype.name)
    if wanted:
        return voxels.astype(wanted)
    if voxels.dtype.kind in "iu":
        low, high = (int(voxels.min()), int(voxels.max())) if voxels.size else (0, 0)
        # The last range is that in which float64 has every integer.
        ranges = (("int32", -(2**31), 2**31 - 1), ("uint32", 0, 2**32 - 1), ("float64", -(2**53), 2**53))
        for name, lowest, highest in ranges:
            if lowest <= low and high <= highest:
                return voxels.astype(name)
    else:
        with np.errstate(over="ignore"):
            converted = voxels.astype(np.float64)
        if ((converted == voxels) | (voxels != voxels)).all():
            return converted
    raise InvalidArgumentError(
        f"image is of type {voxels.dtype} with values that float64 would change; scale them, or convert it yourself"
    )


def _three(values: Sequence[float] | None, default: float, name: str) -> tuple[float, float, float]:
    numbers = np.full(3, default) if values is None else np.asarray(values, dtype=np.float64)
    if numbers.shape != (3,) or not np.isfinite(numbers).all():
        raise InvalidArgumentError(f"{name} is {values!r}; give three numbers")
    return float(numbers[0]), float(numbers[1]), float(numbers[2])


def _volume(voxels: npt.NDArray[Any], steps: npt.NDArray[Any], origin: Any, kind: str, source: Any) -> Volume:
    """A volume whose axes advance by the rows of `steps` (mm, LPS)."""
    if voxels.ndim != 3:
        raise InvalidArgumentError(f"image has {voxels.ndim} dimensions; give three: depth, height, width")
    spacing = np.linalg.norm(steps, axis=1)
    # The determinant of unit vectors says whether they span space, whatever the size of a voxel.
    spans = np.isfinite(steps).all() and (spacing > 0).all() and abs(np.linalg.det(steps / spacing[:, None])) >= 1e-6
    if not spans:
        raise InvalidArgumentError("the geometry of image is singular: its axes must span space, in finite numbers")
    depth, height, width = voxels.shape
    geometry = Geometry(
        (depth, height, width),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        _three(origin, 0.0, "origin"),
        steps / spacing[:, None] + 0.0,  # no negative zeros
    )
    return Volume(_plain(voxels), geometry, kind, source)


def _of_numpy(image: Any, spacing: Any, origin: Any, direction: Any) -> Volume:
    voxels = image if isinstance(image, np.ndarray) else np.asarray(image)
    if voxels.dtype.kind in "OUS":
        raise InvalidArgumentError(
            f"image is of type {type(image).__name__}; give a numpy array, an image of SimpleITK, ITK or nibabel, or a "
            "series of mem3d.read_dicom()"
        )
    sides = np.array(_three(spacing, 1.0, "spacing"))
    if (sides <= 0).any():
        raise InvalidArgumentError(f"spacing is {spacing!r}; give millimetres greater than 0")
    # Depth upwards, height to the back, width to the left.
    rows = np.eye(3)[::-1] if direction is None else np.asarray(direction, dtype=np.float64)
    if rows.shape != (3, 3) or not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3):
        raise InvalidArgumentError("direction needs three rows, one unit vector in LPS for each axis of the array")
    return _volume(voxels, rows * sides[:, None], origin, "numpy", None)


def _of_sitk(image: Any) -> Volume:
    import SimpleITK

    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InvalidArgumentError("image has several values for each voxel; choose one component")
    if image.GetDimension() != 3:
        raise InvalidArgumentError(f"image has {image.GetDimension()} dimensions; give one volume of three")
    columns = np.array(image.GetDirection()).reshape(3, 3)
    steps = (columns * np.array(image.GetSpacing())).T[::-1]
    return _volume(SimpleITK.GetArrayFromImage(image), steps, image.GetOrigin(), "SimpleITK", image)


def _of_itk(image: Any) -> Volume:
    import itk

    if image.GetImageDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InvalidArgumentError("image needs three dimensions and one value for each voxel")
    columns = np.asarray(itk.array_from_matrix(image.GetDirection()))
    steps = (columns * np.array(list(image.GetSpacing()))).T[::-1]
    return _volume(itk.array_from_image(image), steps, list(image.GetOrigin()), "itk", image)


def _of_nibabel(image: Any) -> Volume:
    voxels = np.asanyarray(image.dataobj)
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.dtype.kind == "V":
        raise InvalidArgumentError("image has colours; give one number for each voxel")
    if image.affine is None:
        raise InvalidArgumentError("image has no affine; give one, or a numpy array with spacing, origin and direction")
    if voxels.ndim != 3:
        raise InvalidArgumentError(f"image is of shape {voxels.shape}; give one volume of three dimensions")
    affine = np.array(image.affine[:3], dtype=np.float64) * _millimetres(image)
    _warn_of_forms(image)
    # x, y, z in RAS become depth, height, width in LPS.
    steps = (affine[:, :3] * _RAS_TO_LPS[:, None]).T[::-1]
    return _volume(voxels.transpose(2, 1, 0), steps, affine[:, 3] * _RAS_TO_LPS, "nibabel", image)


def _length_unit(image: Any) -> str:
    """The unit of length that a NIfTI names; mm for other images, without one and for a code that means none."""
    return _UNIT_CODES.get(_unit_code(image), "mm")


def _unit_code(image: Any) -> int:
    """Code of the unit of length of a NIfTI; 0 for other images."""
    return int(image.header["xyzt_units"]) & 7 if hasattr(image.header, "get_xyzt_units") else 0


def _millimetres(image: Any) -> float:
    """Millimetres of the unit of an image's affine."""
    return _UNITS[_length_unit(image)]


def _warn_of_forms(image: Any) -> None:
    """Warns of a NIfTI with an unknown unit, without orientation, or whose forms disagree: ITK may take the other."""
    header = image.header
    if _unit_code(image) > 3:
        code = int(header["xyzt_units"])
        warnings.warn(f"image has an unknown unit of length (xyzt_units {code}); mm is taken", stacklevel=5)
    if not hasattr(header, "get_qform"):
        return
    (qform, q_code), (sform, s_code) = (form(coded=True) for form in (header.get_qform, header.get_sform))
    if not q_code and not s_code and np.allclose(image.affine, header.get_base_affine()):
        text = "image has no orientation (its sform and qform codes are 0): left and right are not known"
        warnings.warn(text, stacklevel=5)
    elif q_code and s_code and np.isfinite(qform).all():
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(image.shape[:3]) - 1)
        apart = np.linalg.norm((corners @ (qform - sform)[:3, :3].T) + (qform - sform)[:3, 3], axis=1).max()
        apart *= _millimetres(image)
        if apart > 0.05 * _millimetres(image) * min(header.get_zooms()[:3]):
            warnings.warn(
                f"image has two forms that lie up to {apart:.2f} mm apart; its affine is taken, and ITK and 3D Slicer "
                "may take the other one",
                stacklevel=5,
            )


def read(image: Any, spacing: Any = None, origin: Any = None, direction: Any = None) -> Volume:
    """The volume of an array or of an image of SimpleITK, ITK, nibabel or :func:`mem3d.read_dicom`.

    Libraries are imported only when one of their images is given.

    Raises
    ------
    InvalidArgumentError
        It is none of them, not one volume, or a value would change by its conversion.
    """
    packages = {base.__module__.partition(".")[0] for base in type(image).__mro__}
    known = {"SimpleITK": _of_sitk, "itk": _of_itk, "nibabel": _of_nibabel}
    kind = next((name for name in known if name in packages), None)
    if isinstance(image, Volume):
        found = image
    elif kind is None:
        return _of_numpy(image, spacing, origin, direction)
    else:
        found = known[kind](image)
    if spacing is not None or origin is not None or direction is not None:
        raise InvalidArgumentError("image has a geometry of its own; leave out spacing, origin and direction")
    return found


def to_sitk(array: npt.NDArray[Any], geometry: Geometry) -> Any:
    """An image of SimpleITK of an array on this geometry."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing([float(v) for v in geometry.spacing[::-1]])
    image.SetOrigin([float(v) for v in geometry.origin])
    image.SetDirection([float(v) for v in geometry.direction[::-1].T.ravel()])
    return image


def to_itk(array: npt.NDArray[Any], geometry: Geometry) -> Any:
    """An image of ITK of an array on this geometry."""
    import itk

    image = itk.image_from_array(np.ascontiguousarray(array))
    image.SetSpacing([float(v) for v in geometry.spacing[::-1]])
    image.SetOrigin([float(v) for v in geometry.origin])
    image.SetDirection(itk.matrix_from_array(np.ascontiguousarray(geometry.direction[::-1].T)))
    return image


def to_nibabel(array: npt.NDArray[Any], geometry: Geometry, source: Any = None) -> Any:
    """A NIfTI image of nibabel, axes x, y, z, affine in RAS; that of `source` where the volume came as one."""
    import nibabel

    affine = np.eye(4)
    affine[:3, :3] = (geometry.direction * np.array(geometry.spacing)[:, None])[::-1].T * _RAS_TO_LPS[:, None]
    affine[:3, 3] = np.array(geometry.origin) * _RAS_TO_LPS
    if source is not None:
        affine = source.affine
    image = nibabel.Nifti1Image(array.transpose(2, 1, 0), affine)
    # The unit of that affine.
    image.header.set_xyzt_units("mm" if source is None else _length_unit(source))
    return image
