"""DICOM: a series in, DICOM SEG out, read back by pydicom and highdicom; beside the .seg.nrrd, read by slicerio."""

import shutil
import subprocess
import sys
from pathlib import Path

import highdicom
import mem3d
import numpy as np
import pydicom
import pytest
import slicerio
from mem3d import dicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SHAPE = (12, 48, 40)
# Unit vectors in LPS along which column and row number grow.
ALONG_ROW, ALONG_COLUMN = np.array([0.8, 0.6, 0.0]), np.array([-0.48, 0.64, 0.6])
NORMAL = np.cross(ALONG_ROW, ALONG_COLUMN)
ORIGIN = np.array([-12.5, 40.25, 7.0])
BOX = [[6, 12, 8], [6, 36, 32]]


def ball():
    z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
    return np.where(x * x + y * y + z * z < 144, 300, 0).astype(np.int16)


def write_series(folder, skip=()):
    folder.mkdir()
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for k, plane in enumerate(ball()):
        if k in skip:
            continue
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        # The names' order is not the slices'.
        path = folder / f"IM{(k * 5) % 12:02d}"
        image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        image.SeriesInstanceUID, image.StudyInstanceUID, image.FrameOfReferenceUID = series, study, frame
        image.Modality, image.InstanceNumber, image.PatientName, image.PatientID = "CT", k + 1, "Test^A", "1"
        image.PatientBirthDate = image.PatientSex = image.StudyDate = image.StudyTime = ""
        image.AccessionNumber = image.StudyID = image.ReferringPhysicianName = image.Manufacturer = ""
        image.SeriesNumber, image.PositionReferenceIndicator = 2, ""
        image.ImageOrientationPatient = [*ALONG_ROW, *ALONG_COLUMN]
        image.ImagePositionPatient = [float(f"{v:.8g}") for v in ORIGIN + 3.0 * k * NORMAL]
        image.PixelSpacing, image.SliceThickness = [1.0, 1.25], 3.0
        image.Rows, image.Columns = plane.shape
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        image.RescaleIntercept, image.RescaleSlope = -1024, 1
        image.PixelData = (plane + 1024).astype(np.uint16).tobytes()
        image.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom") / "series"
    write_series(folder)
    return folder


def masks_of(path):
    """Names and masks of a DICOM SEG, by highdicom; its frames and tags are checked by pydicom alone."""
    plain = pydicom.dcmread(path)
    assert plain.SOPClassUID == pydicom.uid.SegmentationStorage and plain.SegmentationType == "BINARY"
    assert (plain.Rows, plain.Columns) == SHAPE[1:] and plain.Modality == "SEG"
    file = highdicom.seg.segread(path)
    found = {}
    for number in file.segment_numbers:
        volume = file.get_volume(segment_numbers=[number], combine_segments=True)
        found[file.get_segment_description(number).segment_label] = volume
    return found


def on_grid(volume):
    """A mask of highdicom on the grid of the series: by the positions that the file states."""
    mask = np.zeros(SHAPE, bool)
    place = np.linalg.inv(np.column_stack([3 * NORMAL, 1.0 * ALONG_COLUMN, 1.25 * ALONG_ROW]))
    indices = np.argwhere(volume.array > 0)
    points = volume.map_indices_to_reference(indices)
    at = (points - ORIGIN) @ place.T
    assert np.abs(at - at.round()).max() < 0.01
    mask[tuple(at.round().astype(int).T)] = True
    return mask


def test_a_series_is_read_as_it_was_written(series):
    read = mem3d.read_dicom(series)
    assert (read.voxels == ball()).all() and read.voxels.dtype == np.int16
    assert read.geometry.spacing == pytest.approx((3, 1, 1.25)) and read.geometry.origin == pytest.approx(ORIGIN)
    assert read.geometry.direction == pytest.approx(np.array([NORMAL, ALONG_COLUMN, ALONG_ROW]), abs=1e-6)


def test_a_session_becomes_a_dicom_seg(series, tmp_path):
    session = mem3d.Session(mem3d.read_dicom(series), device="cpu")
    with pytest.raises(mem3d.InvalidArgumentError, match="nothing is segmented"):
        dicom.write_seg(tmp_path / "none.dcm", session)
    session.box(BOX, segment="ball")
    session.propagate()
    # A second one that overlaps the first.
    other = np.zeros(SHAPE, bool)
    other[5:8, 10:30, 5:20] = True
    session.set_mask(other, segment="block")
    dicom.write_seg(tmp_path / "seg.dcm", session)
    found = masks_of(tmp_path / "seg.dcm")
    assert list(found) == ["ball", "block"]
    assert (on_grid(found["ball"]) == session.mask("ball")).all() and (on_grid(found["block"]) == other).all()
    plain = pydicom.dcmread(tmp_path / "seg.dcm")
    used = {item.ReferencedSOPInstanceUID for item in plain.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert used == {str(pydicom.dcmread(path).SOPInstanceUID) for path in series.iterdir()}
    assert plain.SegmentSequence[0].SegmentAlgorithmName == "mem3d"
    assert [path.name for path in tmp_path.iterdir()] == ["seg.dcm"]
    with pytest.raises(mem3d.FileError, match="cannot be written"):
        dicom.write_seg(tmp_path / "nowhere" / "seg.dcm", session)
    with pytest.raises(mem3d.InvalidArgumentError, match="no DICOM series"):
        dicom.write_seg(tmp_path / "x.dcm", mem3d.Session(ball(), device="cpu"))


PROGRAM = Path(sys.executable).parent / "mem3d"


def command(*arguments, cwd=None):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=cwd)


def test_the_command_writes_dicom_seg(series, tmp_path):
    prompts = tmp_path / "ball.json"
    prompts.write_text(
        '{"segments": [{"number": 1, "name": "ball"}], "interactions": [{"kind": "box", "slice": 6, '
        f'"points": {BOX}}}]}}'
    )
    done = command("segment", series, prompts, "--out", tmp_path / "a.dcm", "--out", tmp_path / "a.seg.nrrd")
    assert done.returncode == 0, done.stderr
    ours = slicerio.read_segmentation(str(tmp_path / "a.seg.nrrd"))
    mask = slicerio.segment_mask(ours, "ball").transpose(2, 1, 0)
    # The lines that the command prints name the output files.
    assert done.stdout.splitlines()[-2:] == [str(tmp_path / "a.dcm"), str(tmp_path / "a.seg.nrrd")]
    assert mask[6].any() and (on_grid(masks_of(tmp_path / "a.dcm")["ball"]) == mask).all()
    done = command("segment", series, prompts, "--out", tmp_path / "a.dcm")
    assert done.returncode == 1 and "exists" in done.stderr
    image = shutil.copytree(series, tmp_path / "copy") / "IM00"
    image = image.rename(image.with_suffix(".dcm"))
    before = image.read_bytes()
    done = command("segment", tmp_path / "copy", prompts, "--out", image, "--force")
    assert done.returncode == 1 and "is an image of the series" in done.stderr
    assert image.read_bytes() == before
    done = command("segment", prompts, prompts, f"--out={tmp_path / 'b.dcm'}")
    assert done.returncode == 2 and "folder of a DICOM series" in done.stderr
    done = command("segment", series, prompts, "-o", tmp_path / "nowhere" / "c.dcm")
    assert done.returncode == 1 and "cannot write into the folder" in done.stderr
    # Many: the same file beside every segmentation.
    table = tmp_path / "cases.csv"
    table.write_text(f"volume,prompts,output\n{series},ball.json,many/ball.seg.nrrd\n")
    done = command("batch", table, "--format", "dicom-seg")
    assert done.returncode == 0, done.stderr
    assert (on_grid(masks_of(tmp_path / "many" / "ball.dcm")["ball"]) == mask).all()
    written = (tmp_path / "many" / "ball.dcm").stat().st_mtime_ns
    assert command("batch", table, "--format=dicom-seg").returncode == 0
    assert (tmp_path / "many" / "ball.dcm").stat().st_mtime_ns == written


def test_words_are_those_of_the_program(series, tmp_path):
    (tmp_path / "p.json").write_text(f'{{"interactions": [{{"kind": "box", "slice": 6, "points": {BOX}}}]}}')
    # Folders of these names are no series.
    for name in ("segment", "model", "dicom-seg"):
        (tmp_path / name).mkdir()
    done = command("-q", "segment", "p.json", series, "-oa.dcm", cwd=tmp_path)
    assert done.returncode == 2 and "folder of a DICOM series" in done.stderr
    done = command("-q", "segment", "--rounds", "1", series, "p.json", "-foa.dcm", cwd=tmp_path)
    assert done.returncode == 0 and masks_of(tmp_path / "a.dcm"), done.stderr
    done = command("segment", "--model", "model", series, "p.json", "-o", "b.dcm", cwd=tmp_path)
    assert done.returncode == 1 and "model" in done.stderr and not (tmp_path / "b.dcm").exists()
    (tmp_path / "cases.csv").write_text(f"volume,prompts,output\n{series},p.json,out/ball.seg.nrrd\n")
    batch = ("-q", "batch", "cases.csv", "--results", "dicom-seg/r.csv", "--format", "dicom-seg")
    done = command(*batch, cwd=tmp_path)
    assert done.returncode == 0 and masks_of(tmp_path / "out" / "ball.dcm"), done.stderr
    # Where --out is for a folder of cases, the value of --format is still that of --format.
    done = command("batch", "cases.csv", "--out", "dicom-seg", "--format", "dicom-seg", cwd=tmp_path)
    assert done.returncode == 1 and "--out is for a folder of cases" in done.stderr
    assert command("segment", series, "p.json", "--out", "c.dcm", "--help").stdout.startswith("Segments a volume")


def test_a_batch_that_is_stopped_ends(series, tmp_path):
    (tmp_path / "p.json").write_text(f'{{"interactions": [{{"kind": "box", "slice": 6, "points": {BOX}}}]}}')
    rows = [f"{series},p.json,out/{n}.seg.nrrd" for n in range(200)]
    (tmp_path / "cases.csv").write_text("\n".join(["volume,prompts,output", *rows]) + "\n")
    words = [PROGRAM, "batch", "cases.csv", "--format", "dicom-seg"]
    running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout.readline()
    running.terminate()
    # Standard error ends with the last process that has it.
    _, errors = running.communicate(timeout=300)
    assert running.returncode == 1 and "stopping" in errors and "Traceback" not in errors, errors
    made = list((tmp_path / "out").iterdir())
    assert 0 < len(made) < 200 and all(path.name.endswith(".seg.nrrd") for path in made), made


def test_shards_of_a_batch_write_dicom_seg(series, tmp_path):
    (tmp_path / "ball.json").write_text(f'{{"interactions": [{{"kind": "box", "slice": 6, "points": {BOX}}}]}}')
    table = tmp_path / "cases.csv"
    cases = [f"{series},ball.json,out/{name}.seg.nrrd" for name in "ab"]
    table.write_text("\n".join(["volume,prompts,output", *cases]) + "\n")
    batch = ("batch", table, "--format", "dicom-seg")
    a, b = tmp_path / "out" / "a.dcm", tmp_path / "out" / "b.dcm"
    done = command(*batch, "--shard", "2/2", "--jobs", "1")
    assert done.returncode == 0 and b.exists() and not a.exists(), done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "cases.results.shard-2-of-2.csv")
    done = command(*batch, "--merge")
    assert done.returncode == 1 and "a.seg.nrrd: there is no result" in done.stdout, done.stderr
    assert command(*batch, "--shard=1/2").returncode == 0 and a.exists()
    # The merge converts what is left.
    a.unlink()
    done = command(*batch, "--merge", "--results", tmp_path / "cases.results.csv")
    assert done.returncode == 0 and (on_grid(masks_of(a)["Segment 1"]) > 0).any(), done.stderr
    done = command(*batch, "--results", "-")
    assert done.returncode == 2 and "needs the results in a file" in done.stderr


def write_segmentation(path, series, names):
    """A .seg.nrrd on the grid of a series: a segment of one slice for each name."""
    place = mem3d.read_dicom(series).geometry
    labels = np.zeros(SHAPE, np.uint8)
    fields = []
    for k, name in enumerate(names):
        labels[k, 5:9, 5:9] = k + 1
        fields += [f"Segment{k}_LabelValue:={k + 1}", f"Segment{k}_Layer:=0", f"Segment{k}_Name:={name}"]
    vectors = [f"({','.join(map(repr, map(float, v)))})" for v in (place.direction.T * place.spacing).T[::-1]]
    header = [
        "NRRD0004",
        "type: unsigned char",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {SHAPE[2]} {SHAPE[1]} {SHAPE[0]}",
        f"space directions: {' '.join(vectors)}",
        "kinds: domain domain domain",
        "encoding: raw",
        f"space origin: ({','.join(map(str, place.origin))})",
        *fields,
    ]
    path.write_bytes("\n".join([*header, "", ""]).encode() + labels.tobytes())


def test_every_segment_is_kept_with_its_name(series, tmp_path):
    names = ["lesion", "lesion", "Läsion", "肝臓", r"a\\b", "", "x" * 70, "x" * 80]
    write_segmentation(tmp_path / "a.seg.nrrd", series, names)
    dicom.convert(series, tmp_path / "a.seg.nrrd", tmp_path / "a.dcm")
    found = masks_of(tmp_path / "a.dcm")
    labels = ["lesion", "lesion (2)", "Läsion", "肝臓", "a/b", "Segment 6", "x" * 64, "x" * 56 + " (2)"]
    assert list(found) == labels
    for k, label in enumerate(labels):
        mask = on_grid(found[label])
        assert mask[k, 5:9, 5:9].all() and mask.sum() == 16


def test_a_batch_goes_on_after_a_series_that_does_not_suffice(series, tmp_path):
    (tmp_path / "bare").mkdir()
    for path in series.iterdir():
        image = pydicom.dcmread(path)
        del image.PatientID
        image.save_as(tmp_path / "bare" / path.name)
    for name in ("a", "b", "c"):
        write_segmentation(tmp_path / f"{name}.seg.nrrd", series, ["ball"])
    # A layer that is not there.
    text = (tmp_path / "b.seg.nrrd").read_bytes().replace(b"Segment0_Layer:=0", b"Segment0_Layer:=7")
    (tmp_path / "b.seg.nrrd").write_bytes(text)
    rows = ["bare,a.seg.nrrd,done", f"{series},b.seg.nrrd,done", f"{series},c.seg.nrrd,done"]
    (tmp_path / "results.csv").write_text("\n".join(["volume,output,status", *rows]) + "\n")
    failed = dicom.convert_batch(tmp_path / "results.csv")
    assert len(failed) == 2 and "bare: its headers do not suffice" in failed[0] and str(series) in failed[1], failed
    assert list(masks_of(tmp_path / "c.dcm")) == ["ball"]
    with pytest.raises(mem3d.FileError, match="PatientID"):
        dicom.convert(tmp_path / "bare", tmp_path / "a.seg.nrrd", tmp_path / "a.dcm")


def test_no_image_of_the_series_is_replaced(series, tmp_path):
    write_segmentation(tmp_path / "a.seg.nrrd", series, ["ball"])
    image = sorted(series.iterdir())[0]
    before = image.read_bytes()
    with pytest.raises(mem3d.InvalidArgumentError, match="is an image of the series"):
        dicom.convert(series, tmp_path / "a.seg.nrrd", image)
    assert image.read_bytes() == before


def test_what_cannot_be_converted(series, tmp_path, capsys):
    assert dicom.main(["one"]) == 2 and dicom.main([str(series), "nowhere.seg.nrrd", "x.dcm"]) == 1
    assert "nowhere.seg.nrrd" in capsys.readouterr().err
    session = mem3d.Session(ball()[4:7], device="cpu")
    session.set_mask(ball()[4:7])
    import SimpleITK

    SimpleITK.WriteImage(session.to_sitk(), str(tmp_path / "other.seg.nrrd"))
    with pytest.raises(mem3d.Error, match="other.seg.nrrd"):
        dicom.convert(series, tmp_path / "other.seg.nrrd", tmp_path / "x.dcm")


def test_folders_that_are_no_volume(series, tmp_path):
    with pytest.raises(mem3d.FileError, match="is no folder"):
        mem3d.read_dicom(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no DICOM")
    with pytest.raises(mem3d.FileError, match="no DICOM images"):
        mem3d.read_dicom(tmp_path / "empty")
    write_series(tmp_path / "gap", skip={4})
    with pytest.raises(mem3d.InvalidArgumentError, match="not evenly spaced"):
        mem3d.read_dicom(tmp_path / "gap")
    for path in series.iterdir():
        (tmp_path / "gap" / f"other-{path.name}").write_bytes(path.read_bytes())
    with pytest.raises(mem3d.InvalidArgumentError, match="holds 2 series"):
        mem3d.read_dicom(tmp_path / "gap")
    uid = str(pydicom.dcmread(next(series.iterdir())).SeriesInstanceUID)
    assert (mem3d.read_dicom(tmp_path / "gap", series=uid).voxels == ball()).all()
