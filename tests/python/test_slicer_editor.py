"""The effect's own test cases (slicer-module/Mem3D/Testing/Python) on slicer-core's logics, PySide6 and the stand-ins
of slicer_editor.py; in Slicer they run on the real Segment Editor."""

import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

import slicer_editor
from Mem3DEffectTestCase import Mem3DEffectTestCase  # noqa: F401
from Mem3DLib.Editors import WidgetEditor
from Mem3DLib.Native import AXIS_DEPTH, SCRIBBLE
from Mem3DLib.SessionLogic import SessionLogic
from Mem3DTesting import addSegmentation, addVolume, ball, ijkToRas, randomSettings, voxels


@pytest.fixture(autouse=True, scope="module")
def registered():
    slicer_editor.complete()


@pytest.fixture(autouse=True)
def noCrash():
    slicer_editor.crashes.clear()
    yield
    assert not slicer_editor.crashes


def test_scripts_of_a_slicer_without_the_segment_editors_logic(monkeypatch):
    # Slicer 5.8: the editor's widget has no method beside those that are called here.
    slicer.mrmlScene.Clear()
    volume = addVolume(ball(), ijkToRas((1, 1, 3)))
    segmentation = addSegmentation(volume, ("a", "b"))
    editor = WidgetEditor.create(volume, segmentation)
    assert editor.selectedSegmentID() == "a"
    editor.select("b")
    with SessionLogic(editor, randomSettings()) as logic:
        logic.interact(SCRIBBLE, [(-14, -18, 18), (-20, -24, 18), (-26, -30, 18)], axis=AXIS_DEPTH)
        logic.apply()
        mask = logic.state().engineMask.full() != 0
    assert mask.any() and (voxels(segmentation, "b", volume) == mask).all()
    editor.undo()
    assert not voxels(segmentation, "b", volume).any()
    editor.redo()
    assert (voxels(segmentation, "b", volume) == mask).all()
