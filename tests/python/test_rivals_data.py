"""The rivals' samples, interaction maps and tables (tools/peers), on volumes with values worked out by hand."""

import json
import sys

import numpy as np
import pytest
from checkout import ROOT

nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed; see tests/python/requirements.txt")
pytest.importorskip("scipy", reason="SciPy is not installed; see tests/python/requirements.txt")
sys.path.insert(0, str(ROOT / "tools" / "peers"))

import paper
import run as classical
from rivals import data, interactions
from rivals.grid import Grid, resized, windowed


def write_case(folder, label, image=None, spacing=(1.0, 1.0, 1.0)):
    """A case of `[depth, height, width]` arrays."""
    folder.mkdir(parents=True)
    image = label * 10.0 if image is None else image
    affine = np.diag([*spacing[::-1], 1.0])
    for name, array in (("image", image.astype(np.float32)), ("label", label.astype(np.uint8))):
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(array.T), affine), folder / f"{name}.nii.gz")


@pytest.fixture
def cases(tmp_path):
    """Ten cases of one data set with the labels 1 (216 voxels), 2 (150) and 3 (18, too few), and one of another."""
    label = np.zeros((12, 16, 16), int)
    label[2:8, 2:8, 2:8] = 1
    label[2:7, 10:15, 8:14] = 2
    label[9, 1:4, 1:7] = 3
    for n in range(9):
        write_case(tmp_path / f"leg_{n:02}", label)
    write_case(tmp_path / "torso", label)
    return tmp_path


def test_a_sample_never_has_an_excluded_label(cases):
    folder = data.Folder(cases, {"torso": [1], "leg_03": [1, 2]}, hold_out_every=0)
    targets = {c.folder.name: [t.label for t in c.targets] for c in folder.training}
    assert targets["torso"] == [2] and targets["leg_00"] == [1, 2] and "leg_03" not in targets
    rng = np.random.default_rng(1)
    drawn = {(case.folder.name, target.label) for case, target in (folder.draw(rng) for _ in range(300))}
    assert ("torso", 2) in drawn and ("leg_01", 1) in drawn
    assert not drawn & {("torso", 1), ("torso", 3), ("leg_03", 1), ("leg_03", 2)}
    with pytest.raises(ValueError, match="'hip'"):
        data.Folder(cases, {"hip": [1]})


def test_data_sets_weigh_as_the_root_of_their_targets_and_the_only_case_of_one_is_not_held_out(cases):
    folder = data.Folder(cases, hold_out_every=5)
    # The tenth case is the only one of its data set.
    assert [c.folder.name for c in folder.held_out] == ["leg_04"]
    # 18 targets in nine cases, two in one.
    assert [c.weight for c in folder.training] == pytest.approx([18**0.5 / 9] * 8 + [2**0.5])
    names = "sts_mr_012", "btp_01_post", "torso", "12_a"
    assert [data.data_set(name) for name in names] == ["sts_mr", "btp", "torso", "12_a"]


def test_a_region_is_the_box_with_a_quarter_on_every_side(cases):
    folder = data.Folder(cases, hold_out_every=0)
    case = folder.training[0]
    # Label 1: six voxels a side from 2 to 8, two more on every side.
    sample = data.sample_as_recorded(case, case.targets[0])
    assert sample.image.shape == sample.target.shape == (10, 10, 10)
    assert sample.target.sum() == 216 and sample.target[2:8, 2:8, 2:8].all()
    assert sample.image.min() == 0 and sample.image.max() == 1


def test_samples_are_repeated_by_their_seed(cases):
    sampler = data.Sampler(data.Folder(cases))
    a, b, c = (sampler.draw(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert a.name == b.name and np.array_equal(a.image, b.image) and np.array_equal(a.target, b.target)
    assert a.image.shape != c.image.shape or not np.array_equal(a.image, c.image)
    assert a.image.dtype == np.float32 and 0 <= a.image.min() and a.image.max() <= 1
    assert (a.target.any((1, 2)).sum()) >= data.LEAST_SLICES
    coarse = sampler.draw(np.random.default_rng(5), (4, 5, 6))
    assert all(n <= most for n, most in zip(coarse.image.shape, (4, 6, 6), strict=True))


def test_volumes_used_last_stay_in_memory(cases, monkeypatch):
    paths = [str(path) for path in sorted(cases.glob("*/image.nii.gz"))[:2]]
    monkeypatch.setattr(data, "_kept", {})
    first = data.volume(paths[0])
    assert data.volume(paths[0]) is first and data.volume(paths[1]) is not first
    monkeypatch.setattr(data, "MOST_KEPT", first.nbytes)
    data.volume(paths[1])
    assert list(data._kept) == [paths[1]] and data.volume(paths[0]) is not first


def test_the_window_is_that_of_mem3d():
    # CT: air and bone are cut off.
    ct = np.linspace(-1000, 2000, 3001).reshape(1, 1, -1)
    found = windowed(ct)
    assert found[0, 0, 750] == 0 and found[0, 0, 1450] == 1
    assert found[0, 0, 1100] == pytest.approx(0.5)
    # Without bone: 100 HU is the upper end, air is cut off.
    soft = windowed(np.linspace(-1000, 100, 1101).reshape(1, 1, -1))
    assert soft[0, 0, 750] == 0 and soft[0, 0, 925] == pytest.approx(0.5, abs=0.02)
    assert windowed(np.full((2, 2, 2), 7.0)).max() == 0


def test_the_grid_puts_slices_first_and_maps_masks_back():
    grid = Grid((4, 6, 5), (1.0, 2.0, 3.0), axis=2)
    assert grid.shape == (5, 4, 6) and grid.spacing_mm == (3.0, 1.0, 2.0)
    mask = np.zeros((4, 6, 5), bool)
    mask[1:3, 2:5, 1:4] = True
    assert np.array_equal(grid.back(grid.mask(mask).astype(np.float32)), mask)
    assert list(grid.annotated([3, 1], mask[:, :, [3, 1]].transpose(2, 0, 1))) == [3, 1]
    # Half as many slices, a third of the pixels: the voxels are larger, the place is the same.
    small = Grid((8, 12, 9), (1.0, 1.0, 1.0), axis=0, most=(4, 4, 4))
    assert small.shape == (4, 4, 3) and small.spacing_mm == (2.0, 3.0, 3.0)
    found = small.annotated([0, 7], np.ones((2, 12, 9), bool))
    assert list(found) == [0, 3] and found[0].shape == (4, 3) and found[0].all()
    assert small.back(np.ones((4, 4, 3))).shape == (8, 12, 9)
    assert resized(np.arange(4.0), (4,)).tolist() == [0, 1, 2, 3]


def test_seeds_are_target_and_background_of_the_annotated_slices():
    session = interactions.Session(np.zeros((3, 4, 4), np.float32), (1, 1, 1))
    mask = np.zeros((4, 4), bool)
    mask[1, 1:3] = True
    session.annotated[1] = mask
    positive, negative = session.seeds()
    assert positive.sum() == 2 and positive[1, 1, 1] and positive[1, 1, 2]
    assert negative.sum() == 14 and not negative[0].any() and not negative[1, 1, 1]


def test_the_next_slice_has_most_wrong_voxels():
    target = np.zeros((4, 4, 4), bool)
    target[1:3, 1:3, 1:3] = True
    mask = np.zeros_like(target)
    mask[3, 0, :3] = True
    mask[1, 1, 1] = True
    # Wrong: 0, 3, 4 and 3 voxels.
    assert interactions.next_slice(target, mask, {}) == 2
    assert interactions.next_slice(target, mask, {2: 0}) == 1
    assert interactions.next_slice(target, mask, {1: 0, 2: 0}) == 3
    assert interactions.next_slice(target, target, {}) is None
    areas = np.zeros((3, 4, 4), bool)
    areas[0, 0, 0] = areas[1] = areas[2, :2] = True
    assert {interactions.first_slice(areas, np.random.default_rng(n)) for n in range(30)} == {1, 2}


def test_geodesic_distances_are_lengths_plus_edges():
    pytest.importorskip("skimage", reason="scikit-image is not installed; see tools/peers/rivals/requirements.txt")
    even = interactions.EVEN
    # An even image of 3 x 4 x 4 voxels of 2 x 1 x 1 mm; the longest side has 6 mm.
    seeds = np.zeros((3, 4, 4), bool)
    seeds[0, 0, 0] = True
    found = interactions.geodesic(np.zeros((3, 4, 4), np.float32), seeds, (2.0, 1.0, 1.0))
    assert found[0, 0, 0] == 0
    assert found[0, 0, 3] == pytest.approx(even * 3 / 6)
    assert found[2, 0, 0] == pytest.approx(even * 4 / 6)
    assert found[0, 1, 1] == pytest.approx(even * 2**0.5 / 6)
    assert found[1, 1, 1] == pytest.approx(even * 6**0.5 / 6)
    # An edge from 0 to 1 between the columns 1 and 2 adds 1: more than that is cut off.
    image = np.zeros((3, 4, 4), np.float32)
    image[:, :, 2:] = 1
    found = interactions.geodesic(image, seeds, (2.0, 1.0, 1.0))
    # Gradients 0, 1/2, 1/2, 0 a voxel: a quarter of the edge up to the column 1.
    assert found[0, 0, 1] == pytest.approx(even / 6 + 0.25)
    assert found[0, 0, 2] == pytest.approx(even * 2 / 6 + 0.75)
    assert found[0, 0, 3] == 1
    assert (interactions.geodesic(image, np.zeros_like(seeds), (1, 1, 1)) == 1).all()


def test_large_regions_are_measured_on_every_second_pixel(monkeypatch):
    pytest.importorskip("skimage", reason="scikit-image is not installed; see tools/peers/rivals/requirements.txt")
    seeds = np.zeros((4, 16, 16), bool)
    seeds[1, 7, 5] = True
    image = np.zeros(seeds.shape, np.float32)
    fine = interactions.geodesic(image, seeds, (1, 1, 1))
    monkeypatch.setattr(interactions, "MOST_VOXELS", 100)
    coarse = interactions.geodesic(image, seeds, (1, 1, 1))
    assert coarse[1, 7, 5] == 0
    # Two pixels, diagonally.
    assert np.abs(fine - coarse).max() <= interactions.EVEN * 2 * 2**0.5 / 16


def test_damaged_masks_stay_close():
    disk = np.hypot(*np.mgrid[-20:21, -20:21]) < 14
    rng = np.random.default_rng(3)
    ious = []
    for _ in range(20):
        found = interactions.damaged(disk, rng)
        ious.append((found & disk).sum() / (found | disk).sum())
    assert 0.8 < min(ious) and np.mean(ious) < 0.99
    empty = np.zeros((5, 5), bool)
    assert not interactions.damaged(empty, rng).any()


@pytest.fixture
def recorded(tmp_path):
    """A recorded drawing of three rounds: in round n the first n slices are target everywhere."""
    run = {"axis": 0, "low": [1, 0, 0], "high": [5, 5, 6], "shape": [9, 5, 6], "spacing_mm": [3.0, 1.0, 1.0]}
    run["rounds"] = [{"round": n, "slices": list(range(1, n + 1))} for n in (1, 2, 3)]
    (tmp_path / "run.json").write_text(json.dumps(run))
    np.save(tmp_path / "image.npy", np.zeros((4, 5, 6), np.int16))
    for this in run["rounds"]:
        np.save(tmp_path / f"round_{this['round']}.npy", np.ones((this["round"], 5, 6), np.uint8))
    return tmp_path


def test_tools_leave_answers_and_seconds(recorded, monkeypatch):
    def nothing(image, seeds, **_):
        if image.shape == (4, 5, 6):  # not the tiny volume that loads the tool
            # The volume goes on below the region.
            assert (seeds[0] == classical.BACKGROUND).all() and (seeds[1] == classical.FOREGROUND).all()
        return np.zeros(image.shape, bool)

    monkeypatch.setitem(classical.TOOLS, "nothing", nothing)
    assert classical.answer(recorded, "nothing", 1000, asked={1, 3}) is None
    seconds = json.loads((recorded / "nothing.json").read_text())
    assert seconds[0] > 0 and seconds[1] == 0 and seconds[2] > 0
    assert [np.load(recorded / f"nothing.round_{n}.npy").any((1, 2)).sum() for n in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured on Linux only")
def test_peak_memory_is_that_of_the_tool_alone(recorded, monkeypatch):
    def holding(count):
        return lambda image, **_: np.ones(count, np.uint8)[: image.size].reshape(image.shape) > 1

    peaks = {}
    # The large one first: its peak must not count to the small one.
    for name, count in (("large", 200_000_000), ("small", 200)):
        monkeypatch.setitem(classical.TOOLS, name, holding(count))
        assert classical.answer(recorded, name, 1000) is None
        peaks[name] = float((recorded / f"{name}.memory").read_text())
    assert 150 < peaks["large"] - peaks["small"] < 250, peaks


LINES = """case,label,interaction,method,run,round,slice,dsc,nsd,interact_s,propagate_s
a_1,1,mask,quality,0,1,4,0.5,0.6,1.0,2.0
a_1,1,mask,quality,0,3,5,0.7,0.8,0.5,0.5
a_1,1,mask,random,0,1,4,0.5,0.6,1,2
a_1,1,mask,random,0,3,6,0.4,0.5,1,1
a_1,1,mask,random,1,1,4,0.5,0.6,1,2
a_1,1,mask,random,1,3,7,0.6,0.5,1,1
a_1,1,mask,unet3d_small,0,1,4,0.6,0.6,0,0.25
a_1,1,mask,unet3d_small,0,2,5,0.01,0.0,0,0
a_1,1,mask,unet3d_small,0,3,5,0.65,0.8,0,0.25
b_1,1,mask,quality,0,1,4,0.7,0.8,3.0,2.0
b_1,1,mask,quality,0,3,,0.8,0.9,0,0
"""


def test_tables_count_every_target_once(tmp_path):
    (tmp_path / "rounds.csv").write_text(LINES)
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "a_1__1.json").write_text(json.dumps({"peak_memory_mb": 400.2}))
    (tmp_path / "rounds" / "a_1__1" / "mask").mkdir(parents=True)
    (tmp_path / "rounds" / "a_1__1" / "mask" / "unet3d_small.memory").write_text("512.0\n")
    results = paper.Results(tmp_path / "rounds.csv")
    text = paper.markdown(results, results, tmp_path, tmp_path / "rounds")
    assert "| mask | mem3d (quality) | 2 | 0.600 | 0.750 | 0.700 | 0.850 |" in text
    assert "| mask | mem3d (quality) | 1 | 0.500 | 0.700 | 0.600 | 0.800 |" in text
    assert "| a | mask | Interactive 3D U-Net 0.600 | mem3d (quality) 0.700 |" in text
    # Two runs of one target are a half each.
    assert "| mask | random | 0.5000 | 0.5000 |" in text
    # A tool that was not asked in a round has no figures of it.
    assert results.mean("mask", "unet3d_small", "dsc", 2) is None
    # Rounds without a slice are no rounds.
    assert "| mem3d (quality) | 4.00 | 1.00 | 400 |" in text
    assert "| Interactive 3D U-Net | 0.25 | 0.25 | 512 |" in text
    pytest.importorskip("matplotlib", reason="matplotlib is not installed; see tests/python/requirements.txt")
    paper.draw(results, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
