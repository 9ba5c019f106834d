"""The rivals' networks, their training and their answers to recorded rounds (tools/peers), on tiny volumes.

They need PyTorch and MONAI: make test-rivals runs them where make rivals has installed both.
"""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from checkout import ROOT, builtCommand

# PyTorch as tools/setup.sh installs it serves as libtorch alone: Python cannot import it without CUDA's libraries.
if importlib.util.find_spec("monai") is None:
    pytest.skip("MONAI is not installed here: make test-rivals", allow_module_level=True)
import nibabel
import torch

sys.path.insert(0, str(ROOT / "tools" / "peers"))

from rivals import models, predict, train
from rivals.interactions import Session
from test_rivals_data import write_case

RIVALS = list(models.RIVALS)


def ball(shape, radius):
    """A ball in the middle of a volume."""
    places = np.indices(shape) - (np.array(shape) / 2 - 0.5)[:, None, None, None]
    return (np.sqrt((places**2).sum(0)) < radius).astype(np.uint8)


@pytest.fixture
def cases(tmp_path):
    """Three small cases with a ball."""
    for n in range(3):
        label = ball((12, 16, 16), 4 + n / 2)
        image = label * 100.0 + np.random.default_rng(n).normal(scale=10, size=label.shape)
        write_case(tmp_path / "cases" / f"ball_{n}", label, image, (2.0, 1.0, 1.0))
    return tmp_path / "cases"


def trained(rival, cases, out, *more):
    words = [rival, "--size", "tiny", "--data", str(cases), "--out", str(out), *more]
    assert train.main(words) == 0


@pytest.mark.parametrize("shape", [(9, 18, 40), (2, 3, 4)])
@pytest.mark.parametrize("rival", RIVALS)
def test_answers_have_the_shape_of_the_image(rival, shape):
    network = models.build(rival, "tiny").train()
    session = Session(np.random.default_rng(1).random(shape, np.float32), (1, 1, 1))
    session.annotated[1] = ball((1, *shape[1:]), 5)[0] > 0
    found = models.logits(network, session)
    assert found.shape == (1, 1, *shape)
    whole = models.answer(network, session)
    assert whole.shape == shape and 0 <= whole.min() and whole.max() <= 1
    assert np.allclose(whole, torch.sigmoid(found[0, 0]).detach(), atol=1e-5)
    session.first = None
    # In pieces: every voxel is answered, not quite the same.
    pieces = models.answer(network, session, window=(8, 32, 32))
    assert pieces.shape == whole.shape and np.isfinite(pieces).all()
    assert np.array_equal(pieces, whole) == (shape == (2, 3, 4))


def test_r_net_answers_after_p_net():
    network = models.build("deepigeos", "tiny").eval()
    session = Session(np.random.default_rng(1).random((5, 8, 8), np.float32), (1, 1, 1))
    session.annotated[2] = ball((1, 8, 8), 3)[0] > 0
    assert network.part_for(session) == "p_net" and network.channels(session).shape == (3, 5, 8, 8)
    first = models.answer(network, session)
    assert network.part_for(session) == "r_net"
    received = network.channels(session)
    assert received.shape == (4, 5, 8, 8) and np.array_equal(received[3], first)
    assert np.array_equal(session.first, first)
    models.answer(network, session)
    assert np.array_equal(session.first, first), "later answers do not replace the first one"


@pytest.mark.parametrize("rival", RIVALS)
def test_a_resumed_training_gives_the_numbers_of_an_uninterrupted_one(rival, cases, tmp_path):
    trained(rival, cases, tmp_path / "whole", "--sessions", "2")
    # A time limit of nothing ends a piece after each session.
    for piece in range(2):
        assert not (tmp_path / "pieces" / "held_out.json").exists(), piece
        trained(rival, cases, tmp_path / "pieces", "--sessions", "2", "--time-limit", "0")
    a, b = (torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in ("whole", "pieces"))
    for done in (a["done"], b["done"]):
        done.pop("seconds")
    assert a["done"] == b["done"] and a["done"]["sessions"] == 2 and a["done"]["updates"] >= 2
    for name in ("rival", "average"):
        assert all(torch.equal(a[name][k], b[name][k]) for k in a[name]), name
    random = models.build(rival, "tiny").state_dict()
    assert any(not torch.equal(random[k], a["rival"][k]) for k in random)
    # Each network of the rival was trained.
    changed = {k.split(".")[0] for k in a["optimiser"]["state"] for k in [list(random)[k]]}
    assert changed == set(models.RIVALS[rival].parts)
    before = (tmp_path / "whole" / "checkpoint.pt").stat().st_mtime_ns
    trained(rival, cases, tmp_path / "whole", "--sessions", "2")
    assert (tmp_path / "whole" / "checkpoint.pt").stat().st_mtime_ns == before, "a finished training is not run again"


def test_other_options_are_refused(cases, tmp_path):
    trained("unet3d", cases, tmp_path / "run", "--sessions", "5", "--time-limit", "0")
    with pytest.raises(ValueError, match="another --out"):
        trained("unet3d", cases, tmp_path / "run", "--sessions", "5", "--seed", "2")


def record(folder, label_file, shape, low, high):
    """A recorded drawing of two rounds, as src/eval/record.rs describes it."""
    folder.mkdir(parents=True)
    label = np.asanyarray(nibabel.load(label_file).dataobj).T
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    np.save(folder / "image.npy", label[part].astype(np.float32) * 100)
    rounds = []
    for n, slices in enumerate(([4], [4, 6]), 1):
        np.save(folder / f"round_{n}.npy", label[part][slices].astype(np.uint8))
        rounds.append({"round": n, "slices": slices, "drawn": []})
    head = {
        "case": "ball_0", "label": 1, "label_file": str(label_file), "drawing": "mask", "axis": 0,
        "shape": list(shape), "spacing_mm": [2.0, 1.0, 1.0], "low": list(low), "high": list(high), "rounds": rounds,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(head))


@pytest.mark.parametrize("rival", RIVALS)
def test_recorded_rounds_are_answered(rival, cases, tmp_path):
    trained(rival, cases, tmp_path / "run", "--sessions", "2")
    folder = tmp_path / "rounds" / "ball_0__1" / "mask"
    label_file = cases / "ball_0" / "label.nii.gz"
    record(folder, label_file, (12, 16, 16), (1, 2, 3), (11, 15, 14))
    words = [str(tmp_path / "rounds"), str(tmp_path / "run")]
    assert predict.main(words) == 0
    name = f"{rival}_tiny"
    seconds = json.loads((folder / f"{name}.json").read_text())
    assert len(seconds) == 2 and min(seconds) > 0
    for n, slices in ((1, [4]), (2, [4, 6])):
        found = np.load(folder / f"{name}.round_{n}.npy")
        assert found.dtype == np.uint8 and found.shape == (10, 13, 11) and set(np.unique(found)) <= {0, 1}
        assert np.array_equal(found[slices], np.load(folder / f"round_{n}.npy"))
    if sys.platform == "linux":
        assert 20 < float((folder / f"{name}.memory").read_text()) < 1e5
    before = (folder / f"{name}.json").stat().st_mtime_ns
    assert predict.main(words) == 0
    assert (folder / f"{name}.json").stat().st_mtime_ns == before, "a finished part is not run again"


def test_rounds_between_keep_the_last_answer(cases, tmp_path):
    trained("unet3d", cases, tmp_path / "run", "--sessions", "1")
    folder = tmp_path / "rounds" / "ball_0__1" / "mask"
    record(folder, cases / "ball_0" / "label.nii.gz", (12, 16, 16), (1, 2, 3), (11, 15, 14))
    words = [str(tmp_path / "rounds"), str(tmp_path / "run"), "--rounds", "1", "--drawings", "mask"]
    assert predict.main(words) == 0
    first, second = (np.load(folder / f"unet3d_tiny.round_{n}.npy") for n in (1, 2))
    assert json.loads((folder / "unet3d_tiny.json").read_text())[1] == 0
    second[6] = first[6]  # annotated in round 2
    assert np.array_equal(first, second)
    with pytest.raises(SystemExit):
        predict.main([*words[:2], "--drawings", "box"])


def test_answers_are_scored_by_mem3d(cases, tmp_path):
    if builtCommand() is None:
        pytest.skip("mem3d is not built; run: cargo build --release")
    trained("unet3d", cases, tmp_path / "run", "--sessions", "1")
    command = [str(builtCommand()), "--quiet", "evaluate"]
    words = ["--out", tmp_path / "evaluation", "--record", tmp_path / "rounds", "--cases", "ball_0", "--rounds", "2"]
    words += ["--interactions", "mask", "--select", "quality", "--min-voxels", "100", "--min-slices", "3"]
    words += ["--threads", "1"]
    subprocess.run([*command, cases, *words], check=True, capture_output=True)
    assert predict.main([str(tmp_path / "rounds"), str(tmp_path / "run")]) == 0
    subprocess.run([*command, "--score", tmp_path / "rounds", "--out", tmp_path / "evaluation"], check=True)
    lines = (tmp_path / "evaluation" / "rounds.csv").read_text().splitlines()
    assert sum("unet3d_tiny" in line for line in lines) == 2
