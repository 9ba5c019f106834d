"""DICOM series written by pydicom, read by the command and by Slicer."""

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="pydicom is missing")
slicer = pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, generate_uid
from test_written_files import array, store, voxels
from vtk import vtkMatrix4x4

SHAPE = (7, 20, 24)
# Unit vectors in LPS along which column, row and slice number grow; 0.75, 0.5 and 3 mm.
ALONG_ROW, ALONG_COLUMN = np.array([0.8, 0.6, 0.0]), np.array([-0.48, 0.64, 0.6])
NORMAL = np.cross(ALONG_ROW, ALONG_COLUMN)
ORIGIN = np.array([-12.5, 40.25, 7.0])


def values():
    """Stored values, depth, height, width."""
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 4000).astype(np.uint16)


def write_series(folder, syntax, compress=None):
    folder.mkdir()
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for k, plane in enumerate(values()):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = syntax
        # The names' order is not the slices'.
        path = folder / f"IM{(k * 3) % 7}"
        image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        image.SeriesInstanceUID, image.StudyInstanceUID, image.FrameOfReferenceUID = series, study, frame
        image.Modality, image.InstanceNumber, image.PatientName = "CT", k + 1, "Test"
        image.PatientID, image.SeriesDescription, image.SeriesNumber = "1", "thorax", 2
        image.ImageOrientationPatient = [*ALONG_ROW, *ALONG_COLUMN]
        image.ImagePositionPatient = [float(f"{v:.8g}") for v in ORIGIN + 3.0 * k * NORMAL]
        image.PixelSpacing, image.SliceThickness = [0.5, 0.75], 3.0
        image.Rows, image.Columns = plane.shape
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        image.RescaleIntercept, image.RescaleSlope = -1024, 1
        image.PixelData = plane.tobytes()
        if compress:
            image.compress(compress)
        image.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    "syntax, compress",
    [(ExplicitVRLittleEndian, None), (ImplicitVRLittleEndian, None), (ExplicitVRLittleEndian, RLELossless)],
)
def test_a_series_is_read_as_it_was_written(tmp_path, command, syntax, compress):
    write_series(tmp_path / "series", syntax, compress)
    scene = slicer.vtkMRMLScene()
    for source, name in [("series", "a.nrrd"), ("series/IM3", "b.nrrd")]:
        command("volume", tmp_path / source, tmp_path / name)
        node = slicer.vtkMRMLScalarVolumeNode()
        scene.AddNode(node)
        assert store(scene, "vtkMRMLVolumeArchetypeStorageNode", tmp_path / name).ReadData(node)
        assert (voxels(node.GetImageData()) == values().astype(int) - 1024).all()
        place = vtkMatrix4x4()
        node.GetIJKToRASMatrix(place)
        to_ras = np.diag([-1.0, -1.0, 1.0])
        columns = np.stack([ALONG_ROW * 0.75, ALONG_COLUMN * 0.5, NORMAL * 3.0], axis=1)
        assert np.allclose(array(place)[:3, :3], to_ras @ columns, atol=1e-4)
        assert np.allclose(array(place)[:3, 3], to_ras @ ORIGIN, atol=1e-4)
