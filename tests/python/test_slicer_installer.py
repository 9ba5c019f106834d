"""The module's button "Install the engine from a wheel": the real wheel, installed by the real pip, and then tried."""

import os
import subprocess
import sys
import sysconfig
import types
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

import slicer_app
import slicer_editor

Mem3D = slicer_editor.complete()

from Mem3DLib import Engine, Installer
from Mem3DLib.Errors import UserError
from Mem3DLib.Settings import Settings
from Mem3DTesting import randomSettings


class Desktop:
    """What Slicer has for an installation: its pip, which here fills a folder beside this Python's packages, a file
    dialog that is answered with `wheel`, and a question that is answered with `agrees`."""

    def __init__(self, folder, wheel):
        self.python, self.wheel, self.agrees = folder / "python", wheel, True
        self.questions, self.requirements = [], []
        self.settingsFile = folder / "settings" / "Slicer.ini"

    def confirm(self, text, title):
        self.questions.append(text)
        return self.agrees

    def pip(self, requirements):
        self.requirements.append(requirements)
        target = self.python
        if "--target" in requirements:
            target = Path(requirements[requirements.index("--target") + 1])
        for requirement in requirements:
            if requirement.startswith("torch=="):  # gigabytes; the one of this Python has that version
                target.mkdir(parents=True, exist_ok=True)
                (target / "torch").symlink_to(torchFolder())
        wheels = [requirement for requirement in requirements if requirement.endswith(".whl")]
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-index"]
        subprocess.run([*pip, "--quiet", "--upgrade", "--target", target, *wheels], check=True)


def torchFolder():
    folder = Path(sysconfig.get_path("purelib")) / "torch"
    return folder if folder.exists() else Path(os.environ["LIBTORCH"])


@pytest.fixture
def desktop(tmp_path, wheel, monkeypatch):
    desktop = Desktop(tmp_path, wheel)
    monkeypatch.setattr(slicer.util, "pip_install", desktop.pip, raising=False)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", desktop.confirm, raising=False)
    monkeypatch.setattr(slicer.app, "slicerUserSettingsFilePath", str(desktop.settingsFile), raising=False)
    monkeypatch.setattr(slicer.app, "processEvents", slicer_app.application.processEvents, raising=False)
    choose = sys.modules["qt"].QFileDialog
    monkeypatch.setattr(choose, "getOpenFileName", lambda *a: (str(desktop.wheel), "filter"))
    monkeypatch.setattr(sys, "path", [*sys.path, str(desktop.python)])
    monkeypatch.delenv("MEM3D_LIBRARY")
    return desktop


@pytest.fixture
def panel(desktop):
    randomSettings().save(slicer.app.userSettings())
    widget = Mem3D.Mem3DWidget()
    widget.setup()
    widget.enter()
    yield widget.panel
    widget.cleanup()


def pressInstall(panel):
    slicer_app.pressAll(panel.ui, ["installButton"])
    assert slicer_app.processEvents(lambda: not panel.worker.busy)
    return panel.ui["testLabel"].text()


def reinstalled(desktop):
    """What pip is told for a wheel of the version that is there."""
    return ["--force-reinstall", "--no-deps", str(desktop.wheel)]


def test_a_library_that_is_loaded_already_waits_for_a_restart(desktop, panel, monkeypatch):
    monkeypatch.setattr(Engine, "installedTorchVersion", lambda: Engine.LIBTORCH_VERSION)
    monkeypatch.setattr(Installer, "installedTorchVersion", lambda: Engine.LIBTORCH_VERSION)
    monkeypatch.setattr(Engine, "_loadedHere", {"a library"})
    assert pressInstall(panel) == "Installed. Restart Slicer to use it: another library is loaded already."
    assert Path(kept().libraryPath).parent == desktop.python / "mem3d" / "_native"


def kept():
    return Settings.load(slicer.app.userSettings())


def test_a_slicer_with_another_pytorch_keeps_it(desktop, panel, monkeypatch):
    monkeypatch.setattr(Engine, "installedTorchVersion", lambda: "2.5.1+cu121")
    monkeypatch.setattr(Installer, "installedTorchVersion", lambda: "2.5.1+cu121")
    folder = desktop.settingsFile.parent / "Mem3D-engine"
    text = pressInstall(panel)
    assert text.startswith("It works."), text
    (question,) = desktop.questions
    assert str(folder) in question and "2.5.1" in question and "helper process" in question
    expected = ["--upgrade", "--target", str(folder), "torch==" + Engine.LIBTORCH_VERSION, str(desktop.wheel)]
    assert desktop.requirements == [expected] and not desktop.python.exists()
    assert Path(kept().libraryPath).is_relative_to(folder) and kept().mode == "helper"
    assert "in a helper process" in panel.ui["infoLabel"].text()


def test_a_slicer_with_the_same_pytorch_gets_the_wheel_alone(desktop, panel, monkeypatch):
    # In the helper process: this process has the library of the build already.
    randomSettings("helper").save(slicer.app.userSettings())
    panel.enter()
    desktop.python.mkdir()
    (desktop.python / "torch").symlink_to(torchFolder())
    text = pressInstall(panel)
    assert text.startswith("It works."), text
    assert desktop.requirements == [[str(desktop.wheel)], reinstalled(desktop)]
    assert Path(kept().libraryPath).parent == desktop.python / "mem3d" / "_native"


@pytest.mark.parametrize("extension", [True, False], ids=["with the extension PyTorch", "without it"])
def test_a_slicer_without_pytorch_gets_one(desktop, monkeypatch, extension):
    monkeypatch.setattr(Engine, "installedTorchVersion", lambda: None)
    monkeypatch.setattr(Installer, "installedTorchVersion", lambda: None)
    calls = []

    class Logic:
        def installTorch(self, askConfirmation, torchVersionRequirement):
            calls.append((askConfirmation, torchVersionRequirement))
            return object()

    if extension:
        monkeypatch.setitem(sys.modules, "PyTorchUtils", types.SimpleNamespace(PyTorchUtilsLogic=Logic))
    plan = Installer.plan(str(desktop.wheel), str(desktop.settingsFile))
    assert "from the network" in Installer.question(plan) and "Slicer's Python" in Installer.question(plan)
    library = Installer.install(plan)
    assert Path(library).parent == desktop.python / "mem3d" / "_native"
    torch = "==" + Engine.LIBTORCH_VERSION
    assert calls == ([(False, torch)] if extension else [])
    first = [str(desktop.wheel)] if extension else ["torch" + torch, str(desktop.wheel)]
    assert desktop.requirements == [first, reinstalled(desktop)]
    if extension:
        monkeypatch.setattr(Logic, "installTorch", lambda *a, **named: None)
        with pytest.raises(UserError, match="extension PyTorch"):
            Installer.install(plan)


@pytest.mark.parametrize("version", [None, "2.5.1+cu121"])
def test_a_python_that_is_too_old_for_pytorch_is_refused_before_pip(desktop, panel, monkeypatch, version):
    monkeypatch.setattr(Engine, "installedTorchVersion", lambda: version)
    monkeypatch.setattr(Installer, "installedTorchVersion", lambda: version)
    monkeypatch.setattr(Installer, "sys", types.SimpleNamespace(version_info=(3, 9, 10)))
    before = kept()
    text = pressInstall(panel)
    assert "Python 3.9 is too old: it takes 3.10 or newer" in text, text
    assert "Slicer 5.10" in text and "make build" in text
    assert not desktop.questions and not desktop.requirements and kept() == before


def test_nothing_is_installed_without_an_answer(desktop, panel):
    desktop.agrees = False
    before = kept()
    pressInstall(panel)
    assert len(desktop.questions) == 1
    desktop.wheel = ""  # the file dialog is cancelled
    pressInstall(panel)
    assert len(desktop.questions) == 1 and not desktop.requirements and kept() == before


def test_what_goes_wrong_is_reported_and_changes_nothing(desktop, panel, tmp_path, monkeypatch):
    before, wheel = kept(), desktop.wheel
    desktop.wheel = tmp_path / "other-1.0-py3-none-any.whl"
    desktop.wheel.write_bytes(b"")
    assert "is no wheel of mem3d" in pressInstall(panel)
    desktop.wheel = tmp_path / "mem3d-9.9-py3-none-any.whl"
    desktop.wheel.write_bytes(b"no archive")
    text = pressInstall(panel)
    assert text.startswith("Nothing was changed: pip could not install mem3d-9.9") and "Python console" in text
    desktop.wheel = wheel
    monkeypatch.setattr(slicer.util, "pip_install", lambda requirements: None)
    assert "holds no library" in pressInstall(panel)
    assert kept() == before
