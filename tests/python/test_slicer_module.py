"""The module "Mem3D": what it registers, its panel, its logic for scripts; the script that runs its test cases in a
real Slicer, and the batch example as Slicer starts it."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

import slicer_app
import slicer_editor

Mem3D = slicer_editor.complete()

from Mem3DLib.Editors import openEditor
from Mem3DLib.Native import AXIS_DEPTH, SCRIBBLE
from Mem3DLib.Registration import sampleVolume, tutorial
from Mem3DLib.SessionLogic import SessionLogic
from Mem3DLib.Settings import Settings
from Mem3DTesting import addSegmentation, addVolume, ball, ijkToRas, randomSettings, voxels

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "out" / "slicer"
STROKE = [(-14, -18, 18), (-20, -24, 18), (-26, -30, 18)]


@pytest.fixture(autouse=True)
def application():
    slicer.mrmlScene.Clear()
    slicer_editor.complete()
    slicer_editor.SampleData.registered.clear()


@pytest.fixture
def program(tmp_path):
    """Something that takes Slicer's command line."""
    path = tmp_path / "Slicer"
    standIn = Path(__file__).parent / "support" / "slicer_program.py"
    path.write_text("#!/bin/sh\nexec '%s' '%s' \"$@\"\n" % (sys.executable, standIn))
    path.chmod(0o755)
    return path


@pytest.fixture
def panel():
    randomSettings().save(slicer.app.userSettings())
    widget = Mem3D.Mem3DWidget()
    widget.setup()
    widget.enter()
    yield widget.panel
    widget.cleanup()


def test_effect_and_sample_are_registered_once_slicer_has_started():
    parent = slicer_editor.Parent()
    Mem3D.Mem3D(parent)
    assert parent.title == "Mem3D" and parent.categories == ["Segmentation"] and "SegmentEditor" in parent.dependencies
    assert "not a medical device" in parent.helpText.lower() and tutorial() in parent.helpText
    factory = slicer.qSlicerSegmentEditorEffectFactory.instance()
    assert not factory.effects and not slicer_editor.SampleData.registered
    slicer_editor.startUp()
    (effect,) = factory.effects
    assert effect.name == "Mem3D" and type(effect.self()).__name__ == "SegmentEditorMem3DEffect"
    assert type(effect.self().clone()) is slicer_editor.ScriptedEffect
    (sample,) = slicer_editor.SampleData.registered
    assert sample["category"] == "Mem3D" and Path(sample["uris"].replace("file://", "")).is_file()
    assert Path(sample["thumbnailFileName"]).is_file()
    assert sample["customDownloader"].__name__ == "loadSample"


def test_the_tutorial_is_found():
    path = re.search('href="file://([^"]+)"', tutorial())[1]
    assert "# mem3d in 3D Slicer" in Path(path).read_text(encoding="utf-8")


def test_every_button_of_the_panel(panel, monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: called.append(name), raising=False)
    display = slicer.vtkMRMLScalarVolumeDisplayNode()

    def load(path, properties):
        called.append(path)
        return types.SimpleNamespace(GetDisplayNode=lambda: display)

    monkeypatch.setattr(slicer.util, "loadVolume", load)
    pressed = slicer_app.pressAll(panel.ui, ["openButton", "sampleButton", "settingsButton"])
    assert called == ["SegmentEditor", sampleVolume()] and Path(called[1]).is_file()
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == (400, 40, 0)
    # A file dialog that is cancelled installs nothing (test_slicer_installer.py).
    monkeypatch.setattr(sys.modules["qt"].QFileDialog, "getOpenFileName", lambda *a: ("", ""))
    pressed += slicer_app.pressAll(panel.ui, ["installButton"])
    # A model that is chosen in the file dialog, then taken into use.
    model = tmp_path / "other.safetensors"
    monkeypatch.setattr(sys.modules["qt"].QFileDialog, "getOpenFileName", lambda *a: (str(model), "filter"))
    pressed += slicer_app.pressAll(panel.ui, ["modelBrowseButton"])
    panel.ui["threadsBox"].setValue(3)
    panel.ui["modeBox"].setCurrentIndex(2)
    pressed += slicer_app.pressAll(panel.ui, ["settingsApplyButton"])
    kept = Settings.load(slicer.app.userSettings())
    assert (kept.modelPath, kept.threads, kept.mode) == (str(model), 3, "helper")
    assert panel.ui["testLabel"].text() == "Saved. The effect Mem3D takes them when it is chosen next."
    assert "helper process" in panel.ui["infoLabel"].text()
    pressed += slicer_app.pressAll(panel.ui, ["testButton"])
    assert not panel.ui["testButton"].isEnabled()
    assert slicer_app.processEvents(lambda: not panel.worker.busy)
    assert "It does not work: There is no model file" in panel.ui["testLabel"].text()
    assert set(pressed) == set(slicer_app.buttons(panel.widget))


@pytest.mark.parametrize("mode", ["inProcess", "helper"])
def test_the_installation_is_tried(panel, mode):
    randomSettings(mode).save(slicer.app.userSettings())
    panel.enter()
    slicer_app.pressAll(panel.ui, ["testButton"])
    assert slicer_app.processEvents(lambda: not panel.worker.busy)
    text = panel.ui["testLabel"].text()
    assert text.startswith("It works.") and re.search(r"propagation through \d+ slices [\d.]+ s", text), text
    assert "random-1 on cpu" in panel.ui["infoLabel"].text()
    assert ("helper process" in panel.ui["infoLabel"].text()) == (mode == "helper")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    panel.widget.resize(430, 420)
    panel.ui["settingsButton"].setChecked(True)
    panel.widget.show()
    slicer_app.application.processEvents()
    assert panel.widget.grab().save(str(SCREENSHOTS / "module.png"))


def test_the_shipped_model_segments_the_made_up_ball():
    from Mem3DLib.SelfTest import tryEngine

    result = tryEngine(Settings(device="cpu", threads=1, mode="inProcess"))
    assert result.info["model"] == "compact" and result.slices > 5
    assert result.dice > 0.8  # a plain ball: less means that loading or the model is broken


def test_the_logic_for_scripts():
    volume = addVolume(ball(), ijkToRas((1, 1, 3)))
    segmentation = addSegmentation(volume, ("a", "b"))
    with Mem3D.Mem3DLogic.open(volume, segmentation, "b", randomSettings()) as logic:
        logic.interact(SCRIBBLE, STROKE, axis=AXIS_DEPTH)
        logic.apply()
        assert (voxels(segmentation, "b", volume) == (logic.state("b").engineMask.full() != 0)).all()
    assert voxels(segmentation, "b", volume).any() and not voxels(segmentation, "a", volume).any()


def test_the_logic_for_scripts_uses_the_settings_of_the_module(monkeypatch):
    monkeypatch.setattr(slicer.app, "settings_", slicer_app.UserSettings())
    randomSettings()._replace(modelPath="random:5").save(slicer.app.userSettings())
    volume = addVolume(ball(), ijkToRas((1, 1, 3)))
    segmentation = addSegmentation(volume, ("a", "b"))
    with Mem3D.Mem3DLogic.open(volume, segmentation) as logic:
        assert logic.settings == Settings.load(slicer.app.userSettings())
        assert logic.editor.selectedSegmentID() == "a"
    monkeypatch.setenv("MEM3D_DEVICE", "cuda:3")
    with SessionLogic(openEditor(volume, segmentation, "b")) as logic:
        assert (logic.settings.modelPath, logic.settings.device) == ("random:5", "cuda:3")


def run(command, library, **environment):
    environment = dict(os.environ, MEM3D_LIBRARY=str(library.path), DISPLAY=":0", **environment)
    return subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True)


def test_the_script_for_a_real_slicer(program, library):
    script = ROOT / "tools" / "slicer_test.sh"
    done = run([script, program, "Mem3DEffectTestCase"], library)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_fromAStrokeToASegment" in done.stdout and "skipped" not in done.stdout
    # It fails when a test does, when there is none, and when there is no Slicer.
    broken = run([script, program, "Mem3DEffectTestCase.Mem3DEffectTestCase.test_nothingOfThisName"], library)
    assert broken.returncode == 1 and "test_nothingOfThisName" in broken.stdout
    assert run([script, "/nowhere/Slicer"], library).returncode == 2


def test_the_batch_example_as_slicer_starts_it(program, library, tmp_path):
    volume = addVolume(ball(), ijkToRas((1, 1, 3)))
    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "case_ball")
    for point in STROKE[:2]:
        line.AddControlPoint(point)
    inputs, results = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    for storage, node, name in (
        (slicer.vtkMRMLNRRDStorageNode(), volume, "case.nrrd"),
        (slicer.vtkMRMLMarkupsJsonStorageNode(), line, "case_ball.mrk.json"),
    ):
        storage.SetFileName(str(inputs / name))
        assert storage.WriteData(node)
    batch = ROOT / "slicer-module" / "examples" / "batch.py"
    start = [program, "--no-main-window", "--no-splash", "--python-script", batch]
    done = run([*start, inputs, results], library, MEM3D_MODEL="random:1", MEM3D_DEVICE="cpu")
    assert done.returncode == 0, done.stderr
    storage = slicer.vtkMRMLSegmentationStorageNode()
    read = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage.SetFileName(str(results / "case.seg.nrrd"))
    assert storage.ReadData(read)
    assert np.count_nonzero(voxels(read, read.GetSegmentation().GetNthSegmentID(0), volume)) > 0
    # A mistake in the script ends Slicer, too.
    done = run([*start, tmp_path / "nowhere", results], library)
    assert done.returncode == 1 and "nowhere" in done.stderr
