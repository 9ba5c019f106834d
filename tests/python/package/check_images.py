"""Images of every kind: order of axes, geometry, types of voxels."""

import itk
import mem3d
import nibabel
import numpy as np
import pytest
import SimpleITK
from mem3d._images import read, to_itk, to_nibabel, to_sitk

# ITK imports any torch beside it, and that of a checkout has no CUDA libraries.
itk.support.helpers._HAVE_TORCH = False

SHAPE = (5, 6, 7)
SPACING = (3.0, 1.5, 0.5)
ORIGIN = (10.0, -20.0, 30.0)
# Columns of ITK's matrix: where x, y and z of the image point; a turn by 36.87 degrees about the first axis.
MATRIX = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]])


def values():
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def sitk_image():
    image = SimpleITK.GetImageFromArray(values())
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin(ORIGIN)
    image.SetDirection(MATRIX.ravel())
    return image


def itk_image():
    image = itk.image_from_array(values())
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin(ORIGIN)
    image.SetDirection(itk.matrix_from_array(MATRIX))
    return image


def nibabel_image():
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ MATRIX @ np.diag(SPACING[::-1])
    affine[:3, 3] = [-10, 20, 30]
    return nibabel.Nifti1Image(values().transpose(2, 1, 0), affine)


@pytest.mark.parametrize("make", [sitk_image, itk_image, nibabel_image])
def test_images_have_one_order_and_one_geometry(make):
    image = make()
    volume = read(image)
    assert (np.asarray(volume.voxels) == values()).all()
    place = volume.geometry
    assert place.shape == SHAPE
    assert place.spacing == pytest.approx(SPACING) and place.origin == pytest.approx(ORIGIN)
    # Rows for depth, height, width: the matrix's columns in the other order.
    assert place.direction == pytest.approx(np.array([[0, -0.6, 0.8], [0, 0.8, 0.6], [1, 0, 0]]))
    # Voxel [depth 1, height 2, width 3]: 1.5 mm along x, 3 mm along y, 3 mm along z of the image.
    there = np.array([[10 + 1.5, -20 + 0.8 * 3 - 0.6 * 3, 30 + 0.6 * 3 + 0.8 * 3]])
    assert place.to_physical(np.array([[1.0, 2.0, 3.0]])) == pytest.approx(there)
    assert place.to_voxels(there) == pytest.approx(np.array([[1.0, 2.0, 3.0]]))
    if make is sitk_image:
        assert image.TransformIndexToPhysicalPoint((3, 2, 1)) == pytest.approx(tuple(there[0]))
    with pytest.raises(mem3d.InvalidArgumentError, match="geometry of its own"):
        read(image, spacing=SPACING)


def test_results_have_the_geometry_of_the_image():
    place = read(sitk_image()).geometry
    mask = (values() > 100).astype(np.uint8)
    back = to_sitk(mask, place)
    assert (SimpleITK.GetArrayFromImage(back) == mask).all()
    assert back.GetSpacing() == pytest.approx(SPACING[::-1]) and back.GetOrigin() == pytest.approx(ORIGIN)
    assert back.GetDirection() == pytest.approx(tuple(MATRIX.ravel()))
    back = to_itk(mask, place)
    assert (itk.array_from_image(back) == mask).all() and list(back.GetSpacing()) == pytest.approx(SPACING[::-1])
    assert itk.array_from_matrix(back.GetDirection()) == pytest.approx(MATRIX)
    back = to_nibabel(mask, place)
    assert back.affine == pytest.approx(nibabel_image().affine)
    assert (np.asarray(back.dataobj).transpose(2, 1, 0) == mask).all()


def test_an_image_in_an_image_of_the_same_kind_out():
    z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
    ball = np.where(x * x + y * y + z * z < 144, 300, 0).astype(np.int16)
    prompts = [{"kind": "box", "slice": 6, "points": [[12, 8], [36, 32]]}]
    image = SimpleITK.GetImageFromArray(ball)
    image.SetSpacing((1.0, 1.0, 3.0))
    labels = mem3d.segment(image, prompts, device="cpu")
    assert labels.GetSize() == (40, 48, 12) and labels[20, 24, 6] == 1
    affine = np.diag([-1.0, -1.0, 3.0, 1.0])
    labels = mem3d.segment(nibabel.Nifti1Image(ball.transpose(2, 1, 0), affine), prompts, device="cpu")
    assert labels.shape == (40, 48, 12) and np.asarray(labels.dataobj)[20, 24, 6] == 1
    assert (labels.affine == affine).all()


@pytest.mark.parametrize(
    "dtype, becomes",
    [
        ("bool", "uint8"),
        ("float16", "float32"),
        ("int64", "int32"),
        ("uint64", "int32"),
        ("longdouble", "float64"),
        ("int16", "int16"),
        (">i2", "int16"),
        ("float64", "float64"),
    ],
)
def test_voxels_are_converted_without_loss(dtype, becomes):
    given = (values() % 2).astype(dtype)
    taken = read(given).voxels
    assert taken.dtype.name == becomes and (taken == given).all()
    with mem3d.Session(np.ones((8, 16, 16), dtype) * (np.arange(16) % 2).astype(dtype), device="cpu") as session:
        assert session.geometry.shape == (8, 16, 16)


def test_large_integers():
    def taken(*numbers, dtype="int64"):
        return read(np.array(numbers, dtype).reshape(1, 1, -1)).voxels.dtype.name

    assert taken(0, 2**31 - 1) == "int32" and taken(0, 2**32 - 1) == "uint32"
    assert taken(-1, 2**31) == "float64" and taken(-(2**53), 2**53) == "float64"
    for dtype, number in (("int64", 2**53 + 1), ("int64", 2**63 - 1), ("uint64", 2**64 - 1), ("int64", -(2**63))):
        with pytest.raises(mem3d.InvalidArgumentError, match="float64 would change"):
            taken(0, number, dtype=dtype)


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((3, 3)), "2 dimensions"),
        (np.zeros((2, 3, 3, 3)), "4 dimensions"),
        (np.zeros((3, 3, 3), complex), "complex128"),
        (np.zeros((3, 3, 3), "datetime64[s]"), "datetime64"),
        (np.zeros((3, 3, 3), [("r", "u1")]), "type"),
        (np.ma.masked_equal(np.arange(27).reshape(3, 3, 3), 5), "masked"),
        ("ct.nii.gz", "is of type str"),
        (None, "is of type NoneType"),
        (SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorUInt8, 3), "several values"),
        (SimpleITK.Image([4, 4], SimpleITK.sitkUInt8), "2 dimensions"),
        (nibabel.Nifti1Image(np.zeros((3, 3, 3, 2), np.uint8), np.eye(4)), r"\(3, 3, 3, 2\)"),
    ],
)
def test_images_that_cannot_be_used(image, message):
    with pytest.raises(mem3d.InvalidArgumentError, match=message):
        read(image)


def test_a_model_is_evaluated_on_a_folder(tmp_path):
    z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
    inside = (x * x + y * y + z * z < 144).transpose(2, 1, 0)
    (tmp_path / "data" / "ball").mkdir(parents=True)
    for name, values in (("image", 300 * inside), ("label", inside)):
        image = nibabel.Nifti1Image(values.astype(np.int16), np.diag([-1.0, -1.0, 3.0, 1.0]))
        nibabel.save(image, tmp_path / "data" / "ball" / f"{name}.nii.gz")
    settings = dict(interactions="box", select=["quality"], rounds=2, min_slices=5, min_voxels=500, no_jitter=True)
    report = mem3d.evaluate(tmp_path / "data", tmp_path / "out", device="cpu", resume=False, **settings)
    assert report["version"] == mem3d.__version__ and report["failed"] == [] and report["min_slices"] == 5
    assert (tmp_path / "out" / "report.md").exists()
    with pytest.raises(RuntimeError, match="nowhere"):
        mem3d.evaluate(tmp_path / "nowhere", tmp_path / "out2")
    with pytest.raises(RuntimeError, match="--colour"):
        mem3d.evaluate(tmp_path / "data", tmp_path / "out3", colour=1)


def test_a_nibabel_image_with_one_time_point_is_a_volume():
    assert read(nibabel.Nifti1Image(np.zeros((3, 4, 5, 1), np.uint8), np.eye(4))).geometry.shape == (5, 4, 3)


def test_geometries_of_arrays():
    place = read(values(), SPACING).geometry
    assert place.to_physical(np.array([[1.0, 2.0, 3.0]])) == pytest.approx(np.array([[1.5, 3.0, 3.0]]))
    assert read(values(), (5e-5,) * 3).geometry.spacing == pytest.approx((5e-5,) * 3)
    for arguments, message in (
        (dict(spacing=(1, 1)), "spacing"),
        (dict(spacing=(1, 0, 1)), "greater than 0"),
        (dict(origin=(1, 2, float("nan"))), "origin"),
        (dict(direction=np.ones((3, 3))), "unit vector"),
        (dict(direction=[[1, 0, 0], [1, 0, 0], [0, 0, 1]]), "singular"),
    ):
        with pytest.raises(mem3d.InvalidArgumentError, match=message):
            read(values(), **arguments)
