"""Undo and Redo of the session's steps: what the user did is taken back, and nothing else. Weights are random."""

import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or a library that it opens is missing", exc_type=ImportError)

import headless

headless.start()

from Mem3DLib.Errors import UserError
from Mem3DLib.Native import AXIS_DEPTH
from script_session import Session


@pytest.fixture(params=["inProcess", "helper"])
def session(request):
    session = Session()
    session.mode = request.param
    session.setUp()
    session.open()
    yield session
    session.tearDown()


@pytest.mark.parametrize("autoApply", [False, True])
def test_undo_after_start_over_brings_back_what_was_drawn(session, autoApply):
    start = session.load()
    session.logic.autoApply = autoApply
    session.draw()
    drawn, held = session.mask(), session.held()
    session.logic.reset()
    session.logic.undoStep()
    assert (session.mask() == drawn).all() and (session.held() == held).all()
    session.logic.redoStep()
    assert not session.logic.state().started and not session.logic.state().pending
    session.logic.undoStep()
    session.logic.apply()
    assert (session.held() == drawn).all() and (session.held() & start).sum() == start.sum()


@pytest.mark.parametrize("autoApply", [False, True])
def test_undo_goes_on_over_start_over(session, autoApply):
    start = session.load()
    session.logic.autoApply = autoApply
    session.draw()
    drawn = session.mask()
    session.logic.reset()
    session.draw(8)
    session.logic.undoStep()
    session.logic.undoStep()
    assert (session.mask() == drawn).all() and session.logic.state().started
    session.logic.undoStep()
    assert (session.mask() == start).all() and (session.held() == start).all()
    for _ in range(3):
        session.logic.redoStep()
    session.logic.undoStep()
    session.logic.apply()
    assert (session.held() == (drawn if autoApply else start)).all()


@pytest.mark.parametrize("autoApply", [False, True])
def test_undo_ends_at_what_the_segment_started_from(session, autoApply):
    start = session.load()
    session.logic.autoApply = autoApply
    session.draw()
    found = []
    for _ in range(3):
        session.logic.undoStep(found.append)
    assert found == [True, False, False]
    assert (session.held() == start).all() and (session.mask() == start).all()
    session.logic.apply()
    assert (session.held() == start).all()


def test_undo_leaves_what_was_painted(session):
    session.draw()
    session.logic.apply()
    before = session.mask()
    session.draw(8)
    painted = session.held()
    for number in (2, 3):
        painted[number, 22:26, 18:22] = True
    session.paint("a", painted)
    session.logic.undoStep()  # the stroke; the painting was not told to the engine yet
    assert (session.mask() == before).all()
    session.logic.apply()
    assert (session.held() == (before | painted)).all()
    session.draw(8)
    session.logic.undoStep()  # the stroke, and nothing of the painting
    session.logic.undoStep()  # the stroke before, and with it what was told of the painting
    session.logic.accept(AXIS_DEPTH, 6)
    assert (session.mask()[2:4] == painted[2:4]).all() and session.held()[2:4].sum() == painted[2:4].sum()


def test_apply_after_undo_leaves_what_was_painted(session):
    session.draw()
    session.logic.apply()
    painted = session.held()
    painted[2, 22:26, 18:22] = True
    session.paint("a", painted)
    session.logic.apply()  # tells the engine
    session.logic.undoStep()
    session.logic.apply()
    assert (session.held()[2] == painted[2]).all() and session.held()[2].any()


def test_undo_is_for_the_selected_segment(session):
    session.draw()
    a = session.mask("a")
    session.editor.select("b")
    session.draw(4)
    b = session.mask("b")
    session.editor.select("a")
    with pytest.raises(UserError, match="last step was for the segment b"):
        session.logic.undoStep()
    assert (session.mask("a") == a).all() and (session.mask("b") == b).all()
    session.segmentation.GetSegmentation().RemoveSegment("b")
    session.logic.undoStep()
    assert not session.mask("a").any()
