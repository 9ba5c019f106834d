"""Files in the states that real programs leave them in: the command reads them as ITK and 3D Slicer do."""

import json
import struct

import numpy as np
import pytest

SHAPE = (5, 6, 7)


def values():
    """A value for each voxel, depth, height, width."""
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) * 3 - 40).astype(np.int16)


def nifti(path, affine, codes, pixdim, *, quaternion=(0, 0, 1, 6, 6, -40), units=2):
    """A NIfTI by hand. `affine`: 3 x 4 of the sform; `codes`: qform, sform; `quaternion`: b c d x y z of the qform."""
    array = values()
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 4, 16)
    struct.pack_into("<4f", header, 76, 1.0, *pixdim)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<2f", header, 112, 1.0, 0.0)
    header[123] = units
    struct.pack_into("<hh", header, 252, *codes)
    struct.pack_into("<6f", header, 256, *quaternion)
    struct.pack_into("<12f", header, 280, *np.asarray(affine, float).ravel())
    header[344:348] = b"n+1\0"
    path.write_bytes(bytes(header) + array.tobytes())


AFFINE = np.array([[-0.5, 0, 0, 9], [0, -0.5, 0, 6], [0, 0, 0.8, -40]])


@pytest.mark.parametrize(
    "affine, codes, pixdim, units",
    [
        # Only one form, and both in every order of precedence: they differ by 3 mm and in the distance of slices.
        *((AFFINE, codes, (0.5, 0.5, 0.6), 2) for codes in [(0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (4, 4)]),
        # No orientation at all.
        (AFFINE, (0, 0), (0.5, 0.5, 0.8), 2),
        # Vectors without the lengths of pixdim.
        (AFFINE / [0.5, 0.5, 0.8, 1], (0, 2), (0.5, 0.5, 0.8), 2),
        # An sform of zeros beside a good qform, and a skewed one.
        (AFFINE * 0, (1, 1), (0.5, 0.5, 0.8), 2),
        (AFFINE + [[0, 0.2, 0, 0], [0] * 4, [0] * 4], (1, 1), (0.5, 0.5, 0.8), 2),
        # A negative distance, by which ITK turns an axis.
        *((AFFINE, codes, (-0.5, 0.5, 0.8), 2) for codes in [(0, 1), (1, 0), (1, 1), (0, 0)]),
        # Metres and micrometres.
        (AFFINE * 1e-3, (0, 1), (0.5e-3, 0.5e-3, 0.8e-3), 1),
        (AFFINE * 1e3, (0, 1), (0.5e3, 0.5e3, 0.8e3), 3),
    ],
)
def test_a_nifti_lies_where_itk_lays_it(tmp_path, command, affine, codes, pixdim, units):
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is missing")
    nifti(tmp_path / "in.nii", affine, codes, pixdim, units=units)
    command("volume", tmp_path / "in.nii", tmp_path / "out.nrrd")
    found, wanted = sitk.ReadImage(str(tmp_path / "out.nrrd")), sitk.ReadImage(str(tmp_path / "in.nii"))
    assert (sitk.GetArrayFromImage(found) == values()).all()
    for corner in np.ndindex(2, 2, 2):
        at = [float(c * (n - 1)) for c, n in zip(corner, found.GetSize(), strict=True)]
        a, b = (image.TransformContinuousIndexToPhysicalPoint(at) for image in (found, wanted))
        assert np.allclose(a, b, atol=1e-4), (codes, a, b)


def test_labels_that_were_stored_as_scaled_integers(tmp_path, command):
    nibabel = pytest.importorskip("nibabel", reason="nibabel is missing")
    labels = np.zeros(SHAPE)
    labels[1:3, 2:5, 2:6], labels[4, 0, :] = 1.0, 2.0
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    affine = np.diag([-1.0, -1.0, 3.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(labels.T, affine, header), tmp_path / "labels.nii.gz")
    stored = np.asarray(nibabel.load(tmp_path / "labels.nii.gz").dataobj)
    assert ((stored != labels.T) & (labels.T == 1)).any(), "nibabel stores the label exactly: the test has no case"
    command("volume", tmp_path / "labels.nii.gz", tmp_path / "labels.seg.nrrd")
    command("volume", tmp_path / "labels.seg.nrrd", tmp_path / "back.nii")
    assert (np.asarray(nibabel.load(tmp_path / "back.nii").dataobj) == labels.T).all()


def segmentation(scene, path, masks):
    """Segments of a grid of 1 x 1 x 3 mm, written by Slicer. `masks`: by name."""
    slicer = pytest.importorskip("slicer", reason="slicer-core is missing", exc_type=ImportError)
    support = pytest.importorskip("vtk.util.numpy_support")
    node = slicer.vtkMRMLSegmentationNode()
    scene.AddNode(node)
    for name, mask in masks.items():
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(*mask.shape[::-1])
        image.SetSpacing(1.0, 1.0, 3.0)
        image.GetPointData().SetScalars(support.numpy_to_vtk(mask.astype(np.uint8).ravel(), deep=True))
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.AddRepresentation("Binary labelmap", image)
        assert node.GetSegmentation().AddSegment(segment)
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetCropToMinimumExtent(True)
    storage.SetFileName(str(path))
    assert storage.WriteData(node)


def test_segmentations_of_slicer_in_every_state(tmp_path, command):
    slicer = pytest.importorskip("slicer", reason="slicer-core is missing", exc_type=ImportError)
    scene = slicer.vtkMRMLScene()
    shape = (6, 20, 24)
    liver, vessel, empty = (np.zeros(shape, bool) for _ in range(3))
    liver[2:5, 5:12, 6:15], vessel[3:5, 8:16, 10:20] = True, True
    volume = tmp_path / "ct.nrrd"
    # In RAS, as Slicer's grid: width to the right, height to the front.
    volume.write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nspace: RAS\nsizes: 24 20 6\nendian: little\nencoding: raw\n"
        b"space directions: (1,0,0) (0,1,0) (0,0,3)\nspace origin: (0,0,0)\n\n"
        + np.arange(np.prod(shape), dtype=np.int16).tobytes()
    )
    for name, masks in {
        "one": {"liver": liver},
        "overlapping": {"liver": liver, "vessel": vessel},
        "with an empty one": {"liver": liver, "nothing": empty, "vessel": vessel},
    }.items():
        path = tmp_path / f"{name}.seg.nrrd"
        segmentation(scene, path, masks)
        command("volume", path, tmp_path / "again.seg.nrrd")
        for source in (path, tmp_path / "again.seg.nrrd"):
            for chosen in (segment for segment in masks if masks[segment].any()):
                prompts = tmp_path / "prompts.json"
                prompts.write_text(json.dumps({"slice_masks": [{"file": str(source), "label": chosen}]}))
                command("segment", volume, prompts, "--out", tmp_path / "o.nrrd", "--model", "random", "-f")
                body = (tmp_path / "o.nrrd").read_bytes().split(b"\n\n", 1)[1]
                found = np.frombuffer(body, np.uint8).reshape(shape) > 0
                # Given slices are taken as they are.
                given = masks[chosen].any(axis=(1, 2))
                assert (found[given] == masks[chosen][given]).all(), (name, source, chosen)


def test_names_of_slicer_keep_their_characters(tmp_path, command):
    slicer = pytest.importorskip("slicer", reason="slicer-core is missing", exc_type=ImportError)
    scene = slicer.vtkMRMLScene()
    names = ["left \\ right", "two\nlines", 'q "x": c|d;e', "脳 Läsion", "tab\tx", "C:\\new", "a:=b"]
    masks = {name: np.arange(24 * 20 * 6).reshape(6, 20, 24) % 20 == k for k, name in enumerate(names)}
    segmentation(scene, tmp_path / "a.seg.nrrd", masks)
    command("volume", tmp_path / "a.seg.nrrd", tmp_path / "b.seg.nrrd")
    node, storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
    for part in (node, storage):
        scene.AddNode(part)
    storage.SetFileName(str(tmp_path / "b.seg.nrrd"))
    assert storage.ReadData(node)
    read = node.GetSegmentation()
    assert [read.GetNthSegment(k).GetName() for k in range(read.GetNumberOfSegments())] == names


def test_a_fractional_segmentation_of_slicer_is_refused(tmp_path, refusal):
    slicer = pytest.importorskip("slicer", reason="slicer-core is missing", exc_type=ImportError)
    support = pytest.importorskip("vtk.util.numpy_support")
    scene = slicer.vtkMRMLScene()
    node, storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
    for part in (node, storage):
        scene.AddNode(part)
    image, segment = slicer.vtkOrientedImageData(), slicer.vtkSegment()
    segment.SetName("a")
    image.SetDimensions(3, 2, 1)
    image.GetPointData().SetScalars(support.numpy_to_vtk(np.full(6, 108, np.uint8), deep=True))
    segment.AddRepresentation("Fractional labelmap", image)
    node.GetSegmentation().SetSourceRepresentationName("Fractional labelmap")
    assert node.GetSegmentation().AddSegment(segment)
    storage.SetFileName(str(tmp_path / "a.seg.nrrd"))
    assert storage.WriteData(node)
    text = refusal("volume", tmp_path / "a.seg.nrrd", tmp_path / "b.seg.nrrd")
    assert "fractional labelmap; in 3D Slicer convert it" in text


def markupsStates(slicer, kind):
    """Markups of Slicer: for each state, its name, a node and the storage that Slicer uses for it."""
    corners = [(5, 6, 9), (15, 6, 9), (15, 14, 9), (5, 14, 9)]
    counts = {"Fiducial": 4, "Line": 2, "Curve": 4, "ClosedCurve": 4, "Angle": 3, "Plane": 1, "ROI": 1}

    def each(change):
        return lambda node: [change(node, k) for k in range(node.GetNumberOfControlPoints())]

    def partly(node):
        node.UnsetNthControlPointPosition(0)
        if node.GetNumberOfControlPoints() > 3:
            node.SetNthControlPointPositionMissing(1)
            node.SetNthControlPointPosition(2, 1.0, 2.0, 3.0, node.PositionPreview)

    states = {
        "placed": lambda node: None,
        "partly": partly,
        "unplaced": each(lambda node, k: node.UnsetNthControlPointPosition(k)),
        "empty": lambda node: node.RemoveAllControlPoints(),
        "locked": each(lambda node, k: (node.SetLocked(True), node.SetNthControlPointLocked(k, True))),
        "hidden": each(lambda node, k: (node.SetDisplayVisibility(0), node.SetNthControlPointVisibility(k, False))),
    }
    for name, change in states.items():
        scene = slicer.vtkMRMLScene()
        node = getattr(slicer, "vtkMRMLMarkups%sNode" % kind)()
        scene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        for corner in corners[: counts[kind]]:
            node.AddControlPoint(*corner)
        if kind == "ROI":
            node.SetSize(6, 8, 6)
        change(node)
        storage = "vtkMRMLMarkups%sJsonStorageNode" % (kind if kind in ("ROI", "Plane") else "")
        storage = getattr(slicer, storage)()
        scene.AddNode(storage)
        yield name, node, storage


@pytest.mark.parametrize("kind", ["Fiducial", "Line", "Curve", "ClosedCurve", "ROI", "Angle", "Plane"])
def test_markups_of_slicer_in_every_state(tmp_path, command, refusal, kind):
    slicer = pytest.importorskip("slicer", reason="slicer-core is missing", exc_type=ImportError)
    volume = tmp_path / "ct.nrrd"
    volume.write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nspace: RAS\nsizes: 24 20 6\nendian: little\nencoding: raw\n"
        b"space directions: (1,0,0) (0,1,0) (0,0,3)\nspace origin: (0,0,0)\n\n"
        + np.arange(24 * 20 * 6, dtype=np.int16).tobytes()
    )
    refused = {"unplaced": "none of its control points is placed", "empty": "there is no point"}
    if kind == "ROI":
        refused.update(partly=refused["unplaced"], empty="the size of the ROI")
    for state, node, storage in markupsStates(slicer, kind):
        file = tmp_path / ("%s.mrk.json" % state)
        storage.SetFileName(str(file))
        assert storage.WriteData(node)
        points = [point["positionStatus"] for point in json.loads(file.read_text())["markups"][0]["controlPoints"]]
        assert state not in ("partly", "unplaced") or set(points) != {"defined"}, (state, points)
        quality = tmp_path / "q.json"
        outputs = ("--out", tmp_path / "o.nrrd", "--quality", quality, "--model", "random", "--force")
        if kind in ("Angle", "Plane"):
            reason = "type %s cannot be used" % kind
            assert reason in refusal("segment", volume, file, *outputs), state
        elif state in refused:
            assert refused[state] in refusal("segment", volume, file, *outputs), state
        else:
            command("segment", volume, file, *outputs)
            assert json.loads(quality.read_text())["annotated"] == [3], state
