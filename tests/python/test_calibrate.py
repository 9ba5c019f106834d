"""tools/calibrate.py on results and a model file written by hand."""

import hashlib
import importlib.util
import json
import struct
import sys

import numpy
import pytest
from checkout import ROOT

spec = importlib.util.spec_from_file_location("calibrate", ROOT / "tools" / "calibrate.py")
calibrate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(calibrate)

TENSOR = b"\1\2\3\4"


def slices(*rows):
    return [dict(zip(("slice", "quality", "iou", "empty"), row, strict=True)) for row in rows]


def write_model(path, info):
    header = {"__metadata__": {"mem3d": json.dumps({"info": info, "config": {}})}}
    header["x"] = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + TENSOR)


def read_info(path):
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    assert data[8 + size :] == TENSOR
    return json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["mem3d"])["info"]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["calibrate.py", *map(str, arguments)])
    calibrate.main()


def test_positions_follow_the_annotated_slices():
    target = {"runs": [{"rounds": [
        {"slice": 5, "slices": slices(
            (4, 0.9, 0.8, False), (6, 0.7, 0.5, False), (8, 0.6, 0.0, True), (9, 0, 0, True)),
         "empty_slices": [(2, 0.75), (3, 0)]},
        # Slice 8 holds the target: its mask is empty and it is listed.
        {"slice": 8, "slices": slices((4, 0.9, 0.8, False), (6, 0.8, 0.9, False), (7, 0.4, 0.0, True)),
         "empty_slices": []},
        # Slice 12 is not listed before: it holds no target.
        {"slice": 12, "slices": slices((10, 0.3, 0.2, False), (13, 0.5, 0.0, False)), "empty_slices": [(14, 0.9)]},
    ]}]}  # fmt: skip
    assert list(calibrate.positions(target)) == [
        ("open", 0.9, 0.8), ("open", 0.7, 0.5), ("empty", 0.6, 0.0), ("empty", 0.75, 1.0),
        ("open", 0.9, 0.8), ("closed", 0.8, 0.9), ("empty", 0.4, 0.0),
        ("open", 0.3, 0.2),
    ]  # fmt: skip


def test_the_fit_finds_offset_and_slope():
    quality = numpy.linspace(0.05, 0.95, 40)
    logit = numpy.log(quality / (1 - quality))
    iou = 1 / (1 + numpy.exp(-(0.3 + 0.5 * logit)))
    assert calibrate.fit(quality, iou, numpy.ones(40)) == [0.3, 0.5]
    # One quality, true IoU 1 with weight 3 and 0 with weight 1: the logit of their mean, 0.75, is ln 3.
    assert calibrate.fit(*numpy.array([[0.5, 1, 3], [0.5, 0, 1]]).T) == [1.0986, 1.0]


def test_the_calibration_is_written_into_the_header(monkeypatch, tmp_path, capsys):
    model, out, results = tmp_path / "m.safetensors", tmp_path / "n.safetensors", tmp_path / "evaluation"
    write_model(model, {"name": "m"})
    (results / "targets").mkdir(parents=True)
    checksum = hashlib.sha256(model.read_bytes()).hexdigest()
    (results / "settings.json").write_text(json.dumps({"model": "m", "model_checksum": checksum}))
    # Sixty slices a position whose quality is the true IoU.
    values = [0.2 + 0.01 * i for i in range(60)]
    rounds = [
        {"slice": 0, "slices": slices(*[(i + 1, v, v, False) for i, v in enumerate(values)], (90, 0.5, 0.0, True))},
        {"slice": 90, "slices": slices(*[(i + 1, v, v, i % 2 == 0) for i, v in enumerate(values * 2)][:89])},
        {"slice": 70, "slices": slices(*[(i + 1, v, v, i % 2 == 0) for i, v in enumerate(values * 2)][:89])},
    ]
    rounds = [{**round_, "empty_slices": []} for round_ in rounds]
    (results / "targets" / "t.json").write_text(json.dumps({"runs": [{"rounds": rounds}]}))
    run(monkeypatch, model, out, "--evaluation", results, "--least-doubt", "0.2")
    found = read_info(out)["quality_calibration"]
    assert found["least_doubt"] == 0.2
    assert found["open"] == pytest.approx([0, 1], abs=1e-3) and found["closed"] == pytest.approx([0, 1], abs=1e-3)
    assert found["empty"][1] == pytest.approx(1, abs=0.2)
    # It is removed again.
    run(monkeypatch, out, out)
    assert read_info(out) == {"name": "m"}


def test_results_of_other_models_and_too_few_slices_are_refused(monkeypatch, tmp_path):
    model, results = tmp_path / "m.safetensors", tmp_path / "evaluation"
    write_model(model, {"name": "m"})
    (results / "targets").mkdir(parents=True)
    (results / "settings.json").write_text(json.dumps({"model": "other", "model_checksum": "0"}))
    with pytest.raises(SystemExit, match="another model"):
        run(monkeypatch, model, model, "--evaluation", results)
    checksum = hashlib.sha256(model.read_bytes()).hexdigest()
    (results / "settings.json").write_text(json.dumps({"model": "m", "model_checksum": checksum}))
    with pytest.raises(SystemExit, match="0 slices are open"):
        run(monkeypatch, model, model, "--evaluation", results)
    write_model(model, {"name": "m", "quality_calibration": {"open": [0, 1]}})
    with pytest.raises(SystemExit, match="remove it first"):
        run(monkeypatch, model, model, "--evaluation", results)


def test_a_model_that_cannot_be_written_stays(monkeypatch, tmp_path):
    model = tmp_path / "m.safetensors"
    write_model(model, {"name": "m", "quality_calibration": {"open": [0, 1]}})
    before = model.read_bytes()

    def half(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(calibrate.pathlib.Path, "write_bytes", half)
        with pytest.raises(OSError, match="no space"):
            run(patch, model, model)
    assert model.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
