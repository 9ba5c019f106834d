"""What the command writes, read by the readers of 3D Slicer itself; and what Slicer writes, read by the command.

Slicer's MRML classes come in the wheel slicer-core. No application is started: a scene, nodes and storage nodes do.
"""

import json

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)
vtk = pytest.importorskip("vtk", reason="slicer-core brings vtk")
numpy_support = pytest.importorskip("vtk.util.numpy_support", reason="slicer-core brings vtk")

# Width, height and depth in RAS: turned about the axis of the patient, then tilted; 0.75, 0.5 and 3 mm.
COS, SIN = 0.8, 0.6
DIRECTIONS = np.array([[COS, -SIN, 0.0], [SIN, COS, 0.0], [0.0, 0.0, 1.0]]) @ np.array(
    [[1.0, 0.0, 0.0], [0.0, COS, -SIN], [0.0, SIN, COS]]
)
IJK_TO_RAS = np.eye(4)
IJK_TO_RAS[:3, :3] = DIRECTIONS * np.array([0.75, 0.5, 3.0])
IJK_TO_RAS[:3, 3] = [12.5, -40.25, 7.0]

# Depth, height, width.
SHAPE = (6, 20, 24)


@pytest.fixture
def scene():
    return slicer.vtkMRMLScene()


def matrix(values):
    made = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            made.SetElement(row, column, values[row][column])
    return made


def array(made):
    return np.array([[made.GetElement(row, column) for column in range(4)] for row in range(4)])


def voxels(image):
    """The voxels of an image, depth, height, width."""
    return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def store(scene, node_class, path):
    storage = getattr(slicer, node_class)()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    return storage


def write_volume(scene, path, values, node_class="vtkMRMLScalarVolumeNode"):
    """A volume on the oblique grid, written by Slicer."""
    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape[::-1])
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(values.ravel(), deep=True))
    node = getattr(slicer, node_class)()
    scene.AddNode(node)
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(matrix(IJK_TO_RAS))
    assert store(scene, "vtkMRMLVolumeArchetypeStorageNode", path).WriteData(node)


def read_volume(scene, path):
    node = slicer.vtkMRMLScalarVolumeNode()
    scene.AddNode(node)
    assert store(scene, "vtkMRMLVolumeArchetypeStorageNode", path).ReadData(node)
    found = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(found)
    return voxels(node.GetImageData()), array(found)


def ct():
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) - 500


def labels():
    """Two segments that overlap in a column of voxels; the second leaves the last slice empty."""
    first, second = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    first[:, 3:9, 4:12] = 1
    second[:5, 5:15, 11:20] = 2
    return first, second


@pytest.fixture
def segmented(tmp_path, scene, command):
    """Volume and masks written by Slicer, segmented by the command: every slice's mask is given, so that the result is
    known whatever the networks answer."""
    write_volume(scene, tmp_path / "ct.nrrd", ct())
    for name, mask in zip("ab", labels(), strict=True):
        write_volume(scene, tmp_path / f"{name}.nrrd", mask)
    interactions = {
        "segments": [
            {"number": 1, "name": "Leber, links", "color": "#ff8000"},
            {"number": 2, "name": "tumour", "color": [0.0, 0.5, 1.0]},
        ],
        "slice_masks": [
            {"segment": number, "file": f"{name}.nrrd", "slice": slice, "empty": True}
            for number, name in ((1, "a"), (2, "b"))
            for slice in range(SHAPE[0])
        ],
    }
    (tmp_path / "prompts.json").write_text(json.dumps(interactions))
    outputs = [tmp_path / name for name in ("o.seg.nrrd", "o.nii.gz", "o.nrrd")]
    arguments = [option for path in outputs for option in ("--out", path)]
    command("segment", tmp_path / "ct.nrrd", tmp_path / "prompts.json", "--model", "random", *arguments)
    return tmp_path


def test_volumes_lie_where_they_lay(tmp_path, scene, command):
    write_volume(scene, tmp_path / "ct.nrrd", ct())
    values, place = read_volume(scene, tmp_path / "ct.nrrd")
    assert np.allclose(place, IJK_TO_RAS, atol=1e-4) and (values == ct()).all()
    for name in ("out.nii.gz", "out.nrrd"):
        command("volume", tmp_path / "ct.nrrd", tmp_path / name)
        values, place = read_volume(scene, tmp_path / name)
        assert (values == ct()).all(), name
        assert np.allclose(place, IJK_TO_RAS, atol=1e-4), name
    # Once more, from what Slicer writes as NIfTI.
    write_volume(scene, tmp_path / "ct.nii.gz", ct())
    command("volume", tmp_path / "ct.nii.gz", tmp_path / "back.nrrd")
    values, place = read_volume(scene, tmp_path / "back.nrrd")
    assert (values == ct()).all() and np.allclose(place, IJK_TO_RAS, atol=1e-4)


def test_a_segmentation_has_names_colours_and_place(segmented, scene):
    node = slicer.vtkMRMLSegmentationNode()
    scene.AddNode(node)
    assert store(scene, "vtkMRMLSegmentationStorageNode", segmented / "o.seg.nrrd").ReadData(node)
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]
    found = [segmentation.GetSegment(i) for i in ids]
    assert [s.GetName() for s in found] == ["Leber, links", "tumour"]
    assert [s.GetLabelValue() for s in found] == [1, 2]
    assert np.allclose(found[0].GetColor(), [1.0, 128 / 255, 0.0], atol=1e-6)
    assert np.allclose(found[1].GetColor(), [0.0, 0.5, 1.0], atol=1e-6)
    for segment_id, segment, mask in zip(ids, found, labels(), strict=True):
        image = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(segment_id, image)
        # The labelmap is cropped; its extent is its place in the volume.
        i0, i1, j0, j1, k0, k1 = image.GetExtent()
        whole = np.zeros(SHAPE, bool)
        whole[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1] = voxels(image) != 0
        assert (whole == (mask != 0)).all(), segment.GetName()
        place = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(place)
        assert np.allclose(array(place), IJK_TO_RAS, atol=1e-4)


def test_label_files_lie_on_the_volume(segmented, scene):
    first, second = labels()
    for name in ("o.nii.gz", "o.nrrd"):
        values, place = read_volume(scene, segmented / name)
        assert np.allclose(place, IJK_TO_RAS, atol=1e-4), name
        assert ((values != 0) == ((first != 0) | (second != 0))).all(), name
        # Where both are sure, the lower number counts.
        assert (values == np.where(first != 0, 1, second)).all(), name


def write_markup(scene, path, node_class, points):
    """Points at voxel indices (width, height, depth), written by Slicer."""
    node = getattr(slicer, node_class)()
    scene.AddNode(node)
    for point in points:
        node.AddControlPoint(*(IJK_TO_RAS @ [*point, 1.0])[:3])
    assert store(scene, "vtkMRMLMarkupsJsonStorageNode", path).WriteData(node)


def test_markups_of_slicer_are_drawn_where_they_are(tmp_path, scene, command):
    write_volume(scene, tmp_path / "ct.nrrd", ct())
    clicks = [(5, 6, 3), (8, 7, 3)]
    write_markup(scene, tmp_path / "liver.mrk.json", "vtkMRMLMarkupsFiducialNode", clicks)
    write_markup(scene, tmp_path / "liver-.mrk.json", "vtkMRMLMarkupsFiducialNode", [(20, 15, 3)])
    curve = [(3, 2, 1), (3, 16, 1), (3, 9, 4)]
    write_markup(scene, tmp_path / "vessel.mrk.json", "vtkMRMLMarkupsCurveNode", curve)
    roi = slicer.vtkMRMLMarkupsROINode()
    scene.AddNode(roi)
    roi.SetCenter(*(IJK_TO_RAS @ [12, 10, 2, 1.0])[:3])
    roi.SetSize(6.0, 6.0, 6.0)
    assert store(scene, "vtkMRMLMarkupsROIJsonStorageNode", tmp_path / "box.mrk.json").WriteData(roi)
    markups = [tmp_path / f"{name}.mrk.json" for name in ("liver", "liver-", "vessel", "box")]
    quality, out = tmp_path / "q.json", tmp_path / "o.nrrd"
    rest = ("--out", out, "--quality", quality, "--model", "random", "--stop-after-empty", "1")
    command("segment", tmp_path / "ct.nrrd", *markups, *rest)
    segments = {s["name"]: s for s in json.loads(quality.read_text())["segments"]}
    drawn = {name: (s["axis"], s["annotated"]) for name, s in segments.items()}
    # The curve lies in a sagittal slice: axis 2. The box is thinnest in voxels along depth.
    assert drawn == {"liver": (0, [3]), "vessel": (2, [3]), "box": (0, [2])}
    # A positive click is inside, a negative one outside, whatever the networks answer.
    values, _ = read_volume(scene, out)
    assert all(values[k, j, i] != 0 for i, j, k in clicks)
    assert values[3, 15, 20] != segments["liver"]["number"]
