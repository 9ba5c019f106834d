"""The session of the installed package, on a small ball: every way to draw, to read and to go back."""

import signal
import threading

import mem3d
import numpy as np
import pytest

SHAPE = (12, 48, 40)
EXTREMES = [[6, 12, 20], [6, 36, 20], [6, 24, 8], [6, 24, 32]]


def ball(dtype=np.int16):
    z, y, x = np.ogrid[-18:18:3, -24:24, -20:20]
    return np.where(x * x + y * y + z * z < 144, 300, 0).astype(dtype)


@pytest.fixture
def session():
    with mem3d.Session(ball(), spacing=(3, 1, 1), device="cpu") as session:
        yield session


@pytest.fixture
def drawn(session):
    session.set_slice(ball()[6] > 0, 6)
    return session


def test_a_round(session):
    on_slice = session.extreme_points(EXTREMES, segment="ball")
    assert on_slice.shape == (48, 40) and on_slice.dtype == bool and on_slice[24, 20]
    assert session.segments == ["ball"] and session.segment_number("ball") == 1
    assert session.propagate() >= 1
    assert session.mask().shape == SHAPE and (session.mask()[6] == session.slice_mask(6)).all()
    assert (session.mask("ball") == (session.probability() >= 0.5)).all()
    assert (session.labels() == session.mask()).all() and session.labels().dtype == np.uint16
    assert session.annotated_slices() == [6]
    assert session.quality.shape == (12,) and session.quality[6] == 1
    suggestion = session.suggest()
    assert suggestion.segment == "ball" and suggestion.axis == 0 and suggestion.slice != 6
    assert suggestion.quality == session.quality[suggestion.slice]


def test_points_of_every_form_draw_the_same(session):
    flat = session.box([[12, 8], [36, 32]], slice=6)
    # Default geometry: x is the width, y the height, z 3 mm times the depth.
    same = {
        "voxels": dict(points=[[6, 12, 8], [6, 36, 32]]),
        "axis by name": dict(points=[[6, 12, 8], [6, 36, 32]], axis="depth"),
        "millimetres": dict(points=[[8, 12, 18], [32, 36, 18]], physical=True),
        "rounded onto the slice": dict(points=[[6.4, 12, 8], [6.3, 36, 32]]),
    }
    for number, (what, arguments) in enumerate(same.items(), 2):
        assert (session.box(segment=number, **arguments) == flat).all(), what
    assert session.click([24, 20], slice=6, positive=False)[24, 20] == 0
    assert session.scribble([[2, 20], [9, 20]], 24, axis=1, segment="other", radius_mm=1).shape == (12, 40)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(points=[[24, 20]]), "give slice="),
        (dict(points=[[24, 20]], slice=12), "0 to 11"),
        (dict(points=[[24, 20]], slice=6.5), "slice is 6.5"),
        (dict(points=[[24, 20]], slice=True), "slice is True"),
        (dict(points=[[0, 1, 2, 3]]), "depth, height, width"),
        (dict(points=[]), "depth, height, width"),
        (dict(points=[[6, float("nan"), 20]]), "depth, height, width"),
        (dict(points=[[2, 20, 20], [9, 20, 20]], axis=0), "voxels off slice"),
        (dict(points=[[6, 24, 20]], axis=3), "axis is 3"),
        (dict(points=[[6, 24, 20]], axis="z"), "axis is 'z'"),
        (dict(points=[[6, 24, 400]]), "400"),
        (dict(points=[[6, 24, 20]], segment=0), "segment is 0"),
        (dict(points=[[6, 24, 20]], segment=""), "segment is ''"),
    ],
)
def test_drawings_that_cannot_be_used(session, arguments, message):
    with pytest.raises(mem3d.InvalidArgumentError, match=message):
        session.click(**arguments)
    assert session.segments == []


def test_segments_by_name(session):
    session.click([24, 20], 6, segment="a")
    session.click([20, 20], 6, segment=2)
    session.click([22, 20], 6, segment="b")
    assert session.segments == ["a", "Segment 2", "b"]
    assert [session.segment_number(name) for name in session.segments] == [1, 2, 3]
    session.click([24, 21], 6, segment="Segment 2")
    assert len(session.segments) == 3
    with pytest.raises(mem3d.InvalidArgumentError, match="no segment 'c'; there is a, Segment 2, b"):
        session.mask("c")
    # A drawing that fails leaves no name behind.
    with pytest.raises(mem3d.InvalidArgumentError):
        session.click([24, 400], 6, segment="c")
    session.click([24, 20], 6, segment="d")
    assert session.segment_number("d") == 4
    session.reset("d")
    assert "d" not in session.segments


def test_masks_by_hand(session):
    session.set_mask(ball() > 0, segment="start")
    session.accept(5, segment="start")
    assert session.annotated_slices("start") == [5] and (session.mask("start") == (ball() > 0)).all()
    with pytest.raises(mem3d.InvalidArgumentError, match="shape"):
        session.set_slice(np.zeros((3, 3)), 6)
    assert session.undo() and session.annotated_slices("start") == [] and session.redo() and not session.redo()


def test_directions_and_ranges(drawn):
    drawn.propagate(direction="up")
    assert not drawn.mask()[:6].any() and drawn.mask()[7].any()
    drawn.undo()
    drawn.propagate(slices=(5, 7))
    assert [bool(plane.any()) for plane in drawn.mask()] == [4 < k < 8 for k in range(12)]
    for arguments, message in ((dict(direction="left"), "direction"), (dict(slices=(7, 5)), "first and the last")):
        with pytest.raises(mem3d.InvalidArgumentError, match=message):
            drawn.propagate(**arguments)


def test_progress_and_cancelling(drawn, capfd):
    before, seen = drawn.mask(), []
    with pytest.raises(mem3d.CancelledError):
        drawn.propagate(progress=lambda done, total: seen.append((done, total)) or len(seen) < 2)
    assert len(seen) == 2 and seen[0][0] == 1 and (drawn.mask() == before).all()
    with pytest.raises(ZeroDivisionError):
        drawn.propagate(progress=lambda done, total: 1 // 0)
    assert (drawn.mask() == before).all()
    drawn.propagate(progress=True)
    assert "propagating" in capfd.readouterr().err


def test_ctrl_c_cancels_and_leaves_the_session_as_it_was(drawn):
    before = drawn.mask()
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(done, total):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        drawn.propagate(progress=interrupt)
    assert (drawn.mask() == before).all() and drawn.annotated_slices() == [6]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    # On another thread the signal is not touched.
    worker = threading.Thread(target=drawn.propagate)
    worker.start()
    worker.join()
    assert drawn.mask()[5].any()


@pytest.mark.parametrize("undo_depth", [0, -1])
def test_ctrl_c_after_the_last_slice_takes_back_what_can_be_undone(undo_depth, monkeypatch):
    with mem3d.Session(ball(), spacing=(3, 1, 1), device="cpu", undo_depth=undo_depth) as session:
        session.set_slice(ball()[6] > 0, 6)
        before, propagate = session.mask(), session._native.propagate

        def interrupted(*arguments):
            propagate(*arguments)
            signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(session._native, "propagate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.propagate()
        assert (session.mask() == before).all() == (undo_depth == 0) and session.annotated_slices() == [6]


def test_save_and_load(drawn, tmp_path):
    drawn.set_slice(ball()[4] > 0, 4, segment="tumour \u00e9")
    drawn.propagate()
    path = tmp_path / "work.m3s"
    drawn.save(path)
    again = mem3d.Session.load(path, ball(), spacing=(3, 1, 1), device="cpu")
    assert again.segments == ["Segment 1", "tumour \u00e9"] and (again.labels() == drawn.labels()).all()
    with pytest.raises(mem3d.InvalidArgumentError, match="another volume"):
        mem3d.Session.load(path, ball() + np.int16(1), device="cpu")
    for option in (dict(undo_depth=3), dict(window=(0, 1)), dict(no_refinement=1), dict(colour=1)):
        with pytest.raises(mem3d.InvalidArgumentError, match=f"{next(iter(option))} cannot be given"):
            mem3d.Session.load(path, ball(), spacing=(3, 1, 1), device="cpu", **option)
    (tmp_path / "work.m3s.names.json").write_text("[")
    with pytest.raises(mem3d.FileError, match="names"):
        mem3d.Session.load(path, ball(), spacing=(3, 1, 1), device="cpu")
    with pytest.raises(mem3d.FileError, match="nowhere"):
        drawn.save(tmp_path / "nowhere" / "work.m3s")


def along_width(session, segment):
    """Draws a disc on slice 20 along the width."""
    session.set_slice(ball()[:, :, 20] > 0, 20, 2, segment=segment)


def test_a_loaded_session_goes_on_with_the_segment_and_axis_last_drawn_on(drawn, tmp_path):
    along_width(drawn, "b")
    drawn.propagate("b")
    expected, path = drawn.quality, tmp_path / "work.m3s"
    assert expected.shape == (40,) and expected[20] == 1
    drawn.save(path)
    again = mem3d.Session.load(path, ball(), spacing=(3, 1, 1), device="cpu")
    assert (again.quality == expected).all() and again.annotated_slices() == [20]
    again.propagate("b", slices=(25, 35))
    assert (again.mask()[:, :, :25] == drawn.mask()[:, :, :25]).all()
    for _ in range(3):
        again.undo()
    assert again.annotated_slices() == [6] and again.redo() and again.annotated_slices() == [20]
    # A file of earlier programs has names alone, and the command writes none.
    beside = tmp_path / "work.m3s.names.json"
    beside.write_text('{"b": 2}')
    drawn.reset(1)
    drawn._native.save(path)
    for _ in range(2):
        again = mem3d.Session.load(path, ball(), spacing=(3, 1, 1), device="cpu")
        assert again.segments == (["b"] if beside.exists() else ["Segment 2"])
        assert (again.quality == expected).all() and again.annotated_slices() == [20]
        beside.unlink(missing_ok=True)
    beside.write_text('{"names": {"b": 2}, "drawn": {"past": [[1, 3]], "here": null, "future": []}}')
    with pytest.raises(mem3d.FileError, match="names"):
        mem3d.Session.load(path, ball(), spacing=(3, 1, 1), device="cpu")


def test_defaults_go_back_and_forth_with_the_session(drawn):
    drawn.propagate()
    on_depth = drawn.mask(), drawn.quality
    along_width(drawn, "b")
    assert drawn.annotated_slices() == [20] and drawn.quality.shape == (40,)
    assert drawn.undo()
    assert (drawn.mask() == on_depth[0]).all() and (drawn.quality == on_depth[1]).all()
    assert drawn.redo() and drawn.annotated_slices() == [20]
    # The segment is gone; the axis is still the one last drawn on, for every call.
    drawn.reset("b")
    assert (drawn.mask() == on_depth[0]).all() and drawn.quality.shape == (40,)
    with pytest.raises(mem3d.InvalidStateError):
        drawn.propagate()
    drawn.reset()
    assert drawn.undo() and drawn.quality.shape == (40,)
    drawn.reset()
    drawn.set_mask(ball() > 0, segment="c")
    drawn.accept(20, axis=2)
    assert drawn.annotated_slices() == [20] and drawn.propagate() > 0


def test_a_loaded_session_has_the_options_that_it_was_saved_with(tmp_path):
    volume, path = ball(np.float32), tmp_path / "work.m3s"
    volume[0, 0, 0] = np.nan
    given = dict(spacing=(3, 1, 1), origin=(1, 2, 3), direction=np.eye(3)[::-1], device="cpu")
    with mem3d.Session(volume, window=(-50, 350), undo_depth=1, replace_non_finite=1, **given) as session:
        session.click([24, 20], 6)
        session.click([22, 20], 6)
        session.save(path)
    with mem3d.Session.load(path, volume, **given, keep_cuda_cache=1) as again:
        assert again._native.window() == (-50, 350) and again.geometry.origin == (1, 2, 3)
        assert again.undo() and not again.undo()


def test_segment_in_one_call(tmp_path):
    box = {"kind": "box", "slice": 6, "points": [[12, 8], [36, 32]], "segment": "ball"}
    labels = mem3d.segment(ball(), [box], (3, 1, 1), device="cpu")
    with mem3d.Session(ball(), (3, 1, 1), device="cpu") as session:
        session.box([[12, 8], [36, 32]], 6)
        session.propagate()
        assert (labels == session.labels()).all() and labels.any()
    # A click in RAS is the same place with x and y turned around.
    whole = {
        "space": "RAS",
        "segments": [{"number": 3, "name": "ball"}],
        "rounds": [
            {"interactions": [{"kind": "click", "points": [[-20, -24, 18]], "segment": "ball"}]},
            {"slice_masks": [{"slice": 4, "mask": ball()[4] > 0, "segment": 3}]},
        ],
    }
    labels = mem3d.segment(ball(), whole, (3, 1, 1), device="cpu")
    assert set(np.unique(labels)) == {0, 3} and (labels[4] == 3 * (ball()[4] > 0)).all()


def test_a_segment_without_a_name_is_called_by_its_number():
    click = {"kind": "click", "points": [[6, 24, 20]], "segment": "Segment 7"}
    labels = mem3d.segment(ball(), {"segments": [{"number": 7}], "interactions": [click]}, (3, 1, 1), device="cpu")
    assert set(np.unique(labels)) == {0, 7}
    click["segment"] = 3
    whole = {"segments": [{"number": 3, "name": None, "color": "#e69f00"}], "interactions": [click]}
    assert set(np.unique(mem3d.segment(ball(), whole, (3, 1, 1), device="cpu"))) == {0, 3}


@pytest.mark.parametrize("read", ["mask", "probability", "read_quality", "annotated_slices", "suggest", "accept"])
def test_reading_a_segment_without_a_drawing(session, read):
    arguments = dict(slice=6) if read == "accept" else {}
    if read == "annotated_slices":
        assert session.annotated_slices(segment=2) == []
    else:
        with pytest.raises(mem3d.InvalidArgumentError, match="segment 2"):
            getattr(session, read)(segment=2, **arguments)


@pytest.mark.parametrize(
    "prompts, message",
    [
        ({"segments": [{}], "rounds": []}, "segment is None"),
        ({"segments": [{"number": 1, "name": ""}], "rounds": []}, "the name of segment 1 is ''"),
        ([{"kind": "box"}], "needs points"),
        ([{"kind": "lasso", "points": [[6, 1, 1]]}], "'lasso'"),
        ([{"kind": "box", "points": [[6, 1, 1], [6, 9, 9]], "positive": False}], "only scribbles and clicks"),
        ([{"kind": "click", "point": [[6, 1, 1]]}], "has 'point'"),
        ({"rounds": [{}]}, "neither interactions nor slice_masks"),
        ({"space": "MNI", "interactions": []}, "space is 'MNI'"),
        ({"slice_masks": [{"file": "x.nii.gz"}]}, "mem3d segment` reads files"),
        ({"segments": [{"number": 1, "name": "a"}, {"number": 2, "name": "a"}], "rounds": []}, "two segments"),
    ],
)
def test_prompts_that_cannot_be_used(prompts, message):
    with pytest.raises(mem3d.InvalidArgumentError, match=message):
        mem3d.segment(ball(), prompts, device="cpu")
    with pytest.raises(mem3d.FileError, match="nowhere.json"):
        mem3d.segment(ball(), "nowhere.json", device="cpu")


def test_models(tmp_path):
    model = mem3d.Model(device="cpu")
    assert model.info.device == "cpu" and "scribble" in model.info.interactions and len(model.info.checksum) == 64
    with mem3d.Session(ball(), model=model) as session:
        assert session.model is model and "12 x 48 x 40" in repr(session)
    with pytest.raises(mem3d.InvalidArgumentError, match="precision"):
        mem3d.Model(precision="f64")
    with pytest.raises(mem3d.FileError, match="nowhere"):
        mem3d.Session(ball(), model=tmp_path / "nowhere.safetensors")
    assert "random" in mem3d.Model("random:7", "cpu").info.provenance
    with pytest.raises(mem3d.InvalidArgumentError, match="whole number"):
        mem3d.Model("random:x")
    with pytest.raises(mem3d.Error, match="no field colour"):
        mem3d.Session(ball(), model=model, colour=1)


def test_agreement_of_masks():
    left, both = np.zeros((4, 8, 8)), np.zeros((4, 8, 8))
    left[:, :, :2] = 1
    both[:, :, :4] = 1
    # 64 of 128 voxels, hence 2 * 64 / 192 and 64 / 128.
    found = mem3d.compare(left, both, (2, 1, 1))
    assert found["dice"] == pytest.approx(2 / 3) and found["iou"] == pytest.approx(0.5)
    with pytest.raises(mem3d.InvalidArgumentError, match="shape"):
        mem3d.compare(left, both[1:])
