"""DICOM folders and NIfTI images as people have them: what is left out, refused and warned about."""

import mem3d
import nibabel
import numpy as np
import pydicom
import pytest
from mem3d._images import read, to_nibabel
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SHAPE = (4, 5, 6)


def values():
    return np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)


@pytest.fixture
def folder(tmp_path):
    """Writes a series; `change` is called with each image and its number."""

    def write(change=lambda image, k: None, count=SHAPE[0]):
        (tmp_path / "series").mkdir()
        for k in range(count):
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, f"1.2.3.{k + 1}"
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            path = tmp_path / "series" / f"IM{k}"
            image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
            image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
            image.SeriesInstanceUID, image.Modality = "1.2.3", "CT"
            image.ImageOrientationPatient, image.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * k]
            image.PixelSpacing, image.SliceThickness = [0.5, 0.75], 2
            image.Rows, image.Columns = SHAPE[1:]
            image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
            image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
            image.PixelData = values()[k % SHAPE[0]].tobytes()
            change(image, k)
            image.save_as(path, enforce_file_format=False)
        return tmp_path / "series"

    return write


def test_localisers_are_named_copies_and_files_that_cannot_be_read_are_left_out(folder):
    def scout(image, k):
        if k == 4:
            image.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    series = folder(scout, 5)
    with pytest.raises(mem3d.InvalidArgumentError, match="IM4: sizes or orientations .* as those of a localiser"):
        mem3d.read_dicom(series)
    (series / "IM4").unlink()
    (series / "copy").write_bytes((series / "IM1").read_bytes())
    whole = (series / "IM2").read_bytes()
    # Before its first element of group 0028: the rows, columns and pixels are missing.
    (series / "cut").write_bytes(whole[: whole.index(b"\x28\0\x02\0")])
    segmentation = pydicom.dcmread(series / "IM0")
    segmentation.SeriesInstanceUID, segmentation.NumberOfFrames = generate_uid(), 4
    del segmentation.ImagePositionPatient
    segmentation.save_as(series / "seg")
    with pytest.warns(UserWarning) as told:
        assert (mem3d.read_dicom(series).voxels == values()).all()
    texts = "\n".join(str(warning.message) for warning in told)
    for name, reason in [("copy", "the same image"), ("cut", "as if cut off")]:
        assert any(f"{name}: left out: it" in text and reason in text for text in texts.splitlines()), texts


def test_images_of_a_series_keep_no_second_copy_of_their_pixels(folder):
    series = mem3d.read_dicom(folder())
    assert (series.voxels == values()).all()
    held = [value for image in series.source for value in vars(image).values() if isinstance(value, np.ndarray)]
    assert len(series.source) == SHAPE[0] and not held


def test_files_without_prefix_are_read(folder):
    series = folder()
    whole = (series / "IM0").read_bytes()
    (series / "IM0").write_bytes(whole[132:])
    assert (mem3d.read_dicom(series).voxels == values()).all()


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("PixelSpacing", None, "has no PixelSpacing"),
        ("PixelSpacing", [0, 1], "PixelSpacing is"),
        ("ImageOrientationPatient", [1, 0, 0, 0.6, 0.8, 0], "right angles"),
        ("ImageOrientationPatient", None, "has no ImageOrientationPatient"),
    ],
)
def test_places_that_cannot_be_used_are_refused_by_name(folder, name, value, reason):
    series = folder(lambda image, k: setattr(image, name, value))
    with pytest.raises(mem3d.FileError, match=reason):
        mem3d.read_dicom(series)


def test_a_tilted_gantry_is_refused(folder):
    series = folder(lambda image, k: setattr(image, "ImagePositionPatient", [0, k, 2 * k]))
    with pytest.raises(mem3d.InvalidArgumentError, match="gantry was tilted"):
        mem3d.read_dicom(series)


@pytest.mark.parametrize(
    "elements, word",
    [
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "no scaling"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1"),
    ],
)
def test_values_that_mean_something_else_are_warned_about(folder, elements, word):
    series = folder(lambda image, k: [setattr(image, *element) for element in elements.items()])
    with pytest.warns(UserWarning, match=word):
        assert (mem3d.read_dicom(series).voxels == values()).all()


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
def test_a_slice_without_the_rescaling_of_the_others_is_refused(folder, name):
    def change(image, k):
        image.RescaleSlope, image.RescaleIntercept = 2.5, -1024
        if k == 2:
            delattr(image, name)

    with pytest.raises(mem3d.FileError, match=f"IM2: its header has no {name}"):
        mem3d.read_dicom(folder(change))


def test_rescaling_that_is_no_number_is_refused_by_name(folder):
    series = folder(lambda image, k: setattr(image, "RescaleSlope", "1.25"))
    whole = (series / "IM1").read_bytes()
    assert whole.count(b"1.25") == 1
    (series / "IM1").write_bytes(whole.replace(b"1.25", b"1,25"))
    with pytest.raises(mem3d.FileError, match="IM1: its RescaleSlope must be a number"):
        mem3d.read_dicom(series)


@pytest.mark.parametrize(
    "high, intercept, dtype",
    [
        (2**15 - 1, 0, "int16"),
        (2**16 - 1, 0, "uint16"),
        (2**16 - 1, -1, "int32"),
        (2**31 - 1, 0, "int32"),
        (2**32 - 1, 0, "float64"),
        (2**32 - 1, 2**40, "float64"),
    ],
)
def test_integers_of_32_bits_keep_their_values(folder, high, intercept, dtype):
    stored = values().astype(np.int64)
    stored[-1, -1, -1] = high

    def change(image, k):
        image.BitsAllocated, image.BitsStored, image.HighBit = 32, 32, 31
        image.RescaleSlope, image.RescaleIntercept = 1, intercept
        image.PixelData = stored[k].astype(np.uint32).tobytes()

    read = mem3d.read_dicom(folder(change)).voxels
    assert read.dtype.name == dtype and (read == stored + intercept).all()


def test_an_intercept_that_is_too_large_is_refused(folder):
    series = folder(lambda image, k: [setattr(image, "RescaleSlope", 1), setattr(image, "RescaleIntercept", 1e20)])
    with pytest.raises(mem3d.FileError, match="RescaleIntercept is 1e"):
        mem3d.read_dicom(series)


def test_empty_elements_are_none(folder):
    series = folder(lambda image, k: [setattr(image, name, None) for name in ("RescaleSlope", "SliceThickness")], 1)
    with pytest.warns(UserWarning, match="1 mm is taken"):
        assert mem3d.read_dicom(series).geometry.spacing == pytest.approx((1, 0.5, 0.75))


@pytest.mark.parametrize("unit, mm", [("meter", 1000.0), ("micron", 0.001), ("mm", 1.0), ("unknown", 1.0)])
def test_units_of_nifti_become_millimetres_and_results_keep_them(unit, mm):
    image = nibabel.Nifti1Image(values().transpose(2, 1, 0), np.diag([-1 / mm, -2 / mm, 3 / mm, 1]))
    image.header.set_xyzt_units(unit)
    place = read(image).geometry
    assert place.spacing == pytest.approx((3, 2, 1))
    back = to_nibabel(np.zeros(SHAPE, np.uint8), place, image)
    assert read(back).geometry.spacing == pytest.approx((3, 2, 1)) and (back.affine == image.affine).all()


def test_a_unit_of_nifti_that_means_nothing_is_warned_about():
    image = nibabel.Nifti1Image(values().transpose(2, 1, 0), np.diag([-1.0, -2, 3, 1]))
    image.header["xyzt_units"] = 5
    with pytest.warns(UserWarning, match="xyzt_units 5"):
        place = read(image).geometry
    assert place.spacing == pytest.approx((3, 2, 1))
    assert read(to_nibabel(np.zeros(SHAPE, np.uint8), place, image)).geometry.spacing == pytest.approx((3, 2, 1))
    # Micrometres, with an unknown unit of time.
    image.header["xyzt_units"] = 3 | 64
    assert read(image).geometry.spacing == pytest.approx((0.003, 0.002, 0.001))


def test_nifti_forms_that_disagree_are_warned_about():
    image = nibabel.Nifti1Image(values().transpose(2, 1, 0), np.diag([-1.0, -1, 3, 1]))
    image.set_qform(image.affine + [[0, 0, 0, 0], [0] * 4, [0, 0, 0, 2.5], [0] * 4], code=1)
    with pytest.warns(UserWarning, match="2.50 mm apart"):
        read(image)
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    with pytest.warns(UserWarning, match="no orientation"):
        read(nibabel.Nifti1Image.from_bytes(image.to_bytes()))
    with pytest.raises(mem3d.InvalidArgumentError, match="no affine"):
        read(nibabel.Nifti1Image(values(), None))
