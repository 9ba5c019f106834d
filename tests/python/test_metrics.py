"""The command's metrics against SciPy's distance transform, morphology and rank correlation, on random masks."""

import json

import numpy as np
import pytest

scipy = pytest.importorskip("scipy", reason="SciPy is not installed; see tests/python/requirements.txt")
from scipy import ndimage, stats


def write_nrrd(path, array, spacing):
    """`array[depth, height, width]` as NRRD with axis-aligned directions; spacing in the same order."""
    kinds = {"uint8": "uint8", "float32": "float"}
    z, y, x = (float(s) for s in spacing)
    head = (
        f"NRRD0004\ntype: {kinds[array.dtype.name]}\ndimension: 3\nspace: left-posterior-superior\n"
        f"sizes: {array.shape[2]} {array.shape[1]} {array.shape[0]}\n"
        f"space directions: ({x},0,0) (0,{y},0) (0,0,{z})\nkinds: domain domain domain\nendian: little\n"
        "encoding: raw\nspace origin: (0,0,0)\n\n"
    )
    path.write_bytes(head.encode() + np.ascontiguousarray(array).tobytes())


def blobs(rng, shape, level):
    """A random mask of a few smooth parts."""
    field = ndimage.gaussian_filter(rng.normal(size=shape), 2)
    return (field > np.quantile(field, level)).astype(np.uint8)


def surface(mask):
    return mask.astype(bool) & ~ndimage.binary_erosion(mask.astype(bool))


def expected(a, b, spacing, tolerance):
    sa, sb = surface(a), surface(b)
    to_b = ndimage.distance_transform_edt(~sb, sampling=spacing)[sa]
    to_a = ndimage.distance_transform_edt(~sa, sampling=spacing)[sb]
    return {
        "dice": 2 * np.sum(a & b) / (a.sum() + b.sum()),
        "iou": np.sum(a & b) / np.sum(a | b),
        "nsd": ((to_b <= tolerance).sum() + (to_a <= tolerance).sum()) / (len(to_b) + len(to_a)),
        "hd95_mm": max(np.percentile(to_b, 95), np.percentile(to_a, 95)),
    }


@pytest.mark.parametrize("seed", range(6))
def test_overlap_and_surfaces_are_those_of_scipy(command, tmp_path, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(9, 40, 3))
    spacing = tuple(np.round(rng.uniform(0.4, 4, 3), 3))
    # The last one touches the borders, where what lies beyond the volume is outside.
    a, b = blobs(rng, shape, 0.8), blobs(rng, shape, 0.2 if seed == 5 else 0.85)
    write_nrrd(tmp_path / "a.nrrd", a, spacing)
    write_nrrd(tmp_path / "b.nrrd", b, spacing)
    tolerance = 2.5
    files = (tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    found = json.loads(command("evaluate", "--compare", *files, "--tolerance-mm", tolerance))
    for name, value in expected(a, b, spacing, tolerance).items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def test_an_empty_mask(command, tmp_path):
    shape, spacing = (4, 5, 6), (3.0, 1.0, 2.0)
    full = np.zeros(shape, np.uint8)
    full[1:3, 1:3, 1:3] = 1
    write_nrrd(tmp_path / "full.nrrd", full, spacing)
    write_nrrd(tmp_path / "empty.nrrd", 0 * full, spacing)
    both = json.loads(command("evaluate", "--compare", tmp_path / "empty.nrrd", tmp_path / "empty.nrrd"))
    assert (both["dice"], both["iou"], both["nsd"], both["hd95_mm"]) == (1, 1, 1, 0)
    one = json.loads(command("evaluate", "--compare", tmp_path / "empty.nrrd", tmp_path / "full.nrrd"))
    assert (one["dice"], one["iou"], one["nsd"]) == (0, 0, 0)
    assert one["hd95_mm"] == pytest.approx(np.linalg.norm(np.multiply(shape, spacing)))


def test_figures_of_a_report_follow_from_its_slices(command, tmp_path):
    rng = np.random.default_rng(1)
    for case in ("a", "b"):
        label = np.zeros((10, 40, 40), np.uint8)
        label[1:9, 8:30, 10:32] = 1
        image = (label * 80 + rng.normal(0, 10, label.shape)).astype(np.float32)
        (tmp_path / "data" / case).mkdir(parents=True)
        write_nrrd(tmp_path / "data" / case / "image.nrrd", image, (3, 1, 1))
        write_nrrd(tmp_path / "data" / case / "label.nrrd", label, (3, 1, 1))
    command(
        "evaluate",
        tmp_path / "data", "--out", tmp_path / "out", "--model", "random", "--device", "cpu", "--interactions", "mask",
        "--select", "quality,random", "--rounds", 3, "--random-runs", 2,
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    targets = [json.loads(p.read_text()) for p in sorted((tmp_path / "out" / "targets").glob("*.json"))]
    quality, truth, inside = [], [], []
    for target in targets:
        run = next(r for r in target["runs"] if r["method"] == "quality")
        slices = run["rounds"][0]["slices"]
        q, t = [s["quality"] for s in slices], [s["iou"] for s in slices]
        quality, truth = quality + q, truth + t
        if len(set(t)) > 1 and len(set(q)) > 1:
            inside.append(stats.spearmanr(q, t).statistic)
    calibration = next(c for c in report["summary"]["calibrations"] if c["rounds"] == "1")
    assert calibration["slices"] == len(quality)
    assert calibration["mean_absolute_error"] == pytest.approx(np.mean(np.abs(np.subtract(quality, truth))))
    if len(set(truth)) > 1:
        assert calibration["pooled_rank_correlation"] == pytest.approx(stats.spearmanr(quality, truth).statistic)
    if inside:
        assert calibration["rank_correlation"] == pytest.approx(np.mean(inside))
    random = next(m for m in report["summary"]["methods"] if m["method"] == "random")
    dice = [np.mean([r["rounds"][2]["dice"] for r in t["runs"] if r["method"] == "random"]) for t in targets]
    assert random["rounds"][2]["dice"]["mean"] == pytest.approx(np.mean(dice))
