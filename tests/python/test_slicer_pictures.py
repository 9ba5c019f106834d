"""What a user sees: preview and result in slice views and in 3D, drawn off-screen by Slicer's own displayable managers.
The pictures are left in out/slicer."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

from Mem3DLib.Editors import LogicEditor
from Mem3DLib.Native import SCRIBBLE
from Mem3DLib.Preview import Preview
from Mem3DLib.Regions import Region
from Mem3DLib.Segments import Lattice
from Mem3DLib.SessionLogic import SessionLogic
from Mem3DTesting import addSegmentation, addVolume, ball, ijkToRas, randomSettings, rotation, setVoxels
from slicer_views import SliceView, ThreeDView, savePng

SPACING = (1, 1, 3)
PICTURES = Path(__file__).parents[2] / "out" / "slicer"


def save(image, name):
    PICTURES.mkdir(parents=True, exist_ok=True)
    savePng(image, PICTURES / ("view-%s.png" % name))


def coloured(image):
    """Pixels that are not grey."""
    image = image.astype(int)
    return (image.max(axis=2) - image.min(axis=2)) > 20


@pytest.fixture
def scene():
    slicer.mrmlScene.Clear()
    volume = addVolume(ball(), ijkToRas(SPACING))
    segmentation = addSegmentation(volume, ("a",))
    segmentation.GetSegmentation().GetSegment("a").SetColor(0.9, 0.2, 0.2)
    return volume, segmentation, LogicEditor.create(volume, segmentation, "a")


def test_the_preview_is_seen_where_the_mask_is(scene):
    volume, segmentation, editor = scene
    view = SliceView(slicer.app.applicationLogic(), volume)
    view.node.JumpSliceByCentering(-20, -24, 18)
    assert not coloured(view.image()).any()
    preview = Preview()
    with SessionLogic(editor, randomSettings()) as logic:
        setVoxels(segmentation, "a", volume, np.zeros(ball().shape))
        logic.interact(SCRIBBLE, [(-14, -18, 18), (-20, -24, 18), (-26, -30, 18)], np.eye(4))
        mask = logic.state().engineMask
        preview.show(logic.lattice, mask, segmentation, "a")
        image = view.image()
        save(image, "preview")
        seen = coloured(image)
        # The share of the slice that is coloured is the mask's; the view shows 40 x 48 mm on 400 x 400 pixels.
        scale = view.node.GetFieldOfView()[0] / view.node.GetDimensions()[0]
        area = seen.sum() * scale**2
        assert abs(area - mask.slice(0, 6).sum()) < 0.1 * mask.slice(0, 6).sum() + 30
        preview.hide()
        assert not coloured(view.image()).any()
        preview.remove()


def test_the_preview_does_not_hide_what_it_removes(scene):
    volume, segmentation, editor = scene
    held = ball() > 0
    setVoxels(segmentation, "a", volume, held)
    view = SliceView(slicer.app.applicationLogic(), volume)
    view.node.JumpSliceByCentering(-20, -24, 18)
    before = coloured(view.image())
    smaller = held.copy()
    smaller[:, :, :20] = False  # what lies on one side of the middle is to be removed
    preview = Preview()
    lattice = Lattice(editor.sourceImage(), segmentation)
    preview.show(lattice, Region.fromMask(smaller), segmentation, "a")
    image = view.image()
    save(image, "preview-removes")
    seen = coloured(image)
    scale = view.node.GetFieldOfView()[0] / view.node.GetDimensions()[0]
    assert abs(seen.sum() * scale**2 - smaller[6].sum()) < 0.1 * smaller[6].sum()
    columns = np.flatnonzero(before.any(axis=0))
    sides = [seen[:, : columns.mean().astype(int) - 8], seen[:, columns.mean().astype(int) + 8 :]]
    assert sorted(side.any() for side in sides) == [False, True]
    preview.hide()
    assert (coloured(view.image()) == before).all()
    preview.remove()


def test_results_in_slices_of_an_oblique_volume_and_in_3d():
    slicer.mrmlScene.Clear()
    volume = addVolume(ball(), ijkToRas(SPACING, turn=rotation(20, 1)))
    segmentation = addSegmentation(volume, ("a",))
    segmentation.GetSegmentation().GetSegment("a").SetColor(0.9, 0.2, 0.2)
    setVoxels(segmentation, "a", volume, ball() > 0)
    # Slicer's button "Show 3D"
    LogicEditor.create(volume, segmentation, "a").logic.ToggleSegmentationSurfaceRepresentation(True)
    center = (rotation(20, 1) @ (-20, -24, 18, 1))[:3]
    for orientation in ("Axial", "Sagittal", "Coronal"):
        view = SliceView(slicer.app.applicationLogic(), volume, orientation)
        view.node.JumpSliceByCentering(*center)
        image = view.image()
        save(image, "result-" + orientation.lower())
        scale = view.node.GetFieldOfView()[0] / view.node.GetDimensions()[0]
        # A ball of radius 12 mm cut through its middle; 3 mm slices make its rim uneven.
        assert coloured(image).sum() * scale**2 == pytest.approx(np.pi * 12**2, rel=0.15)
    image = ThreeDView(slicer.app.applicationLogic(), slicer.mrmlScene).image()
    save(image, "result-3d")
    red = (image[..., 0].astype(int) - image[..., 2]) > 40
    assert red.mean() > 0.1
