"""The settings part of the panel: from and to a Settings. Qt, no MRML."""

import qt

from .Engine import installedTorchVersion, mayRunInProcess
from .Settings import Settings

MODE_TEXTS = (("auto", "automatic"), ("inProcess", "in Slicer"), ("helper", "in a helper process"))


class SettingsForm:
    """`ui`: the widgets by name; `onChosen(settings)` when the user takes what is entered into use."""

    def __init__(self, ui, onChosen):
        self._ui = ui
        self._onChosen = onChosen
        ui["settingsBox"].setFlat(True)
        ui["settingsContent"].setVisible(False)
        ui["settingsApplyButton"].setVisible(False)
        for device in ("auto", "cpu", "cuda:0"):
            ui["deviceBox"].addItem(device)
        for _, text in MODE_TEXTS:
            ui["modeBox"].addItem(text)
        ui["settingsBox"].toggled.connect(self._toggled)
        ui["modelBrowseButton"].clicked.connect(lambda *_: self._browse())
        ui["settingsApplyButton"].clicked.connect(lambda *_: self._onChosen(self.settings()))

    def _toggled(self, shown):
        self._ui["settingsBox"].setFlat(not shown)
        self._ui["settingsContent"].setVisible(bool(shown))
        self._ui["settingsApplyButton"].setVisible(bool(shown))

    def _browse(self):
        path = qt.QFileDialog.getOpenFileName(
            self._ui["settingsBox"], "Choose a mem3d model", "", "mem3d models (*.safetensors)"
        )
        if isinstance(path, tuple):  # PySide gives the filter, too
            path = path[0]
        if path:
            self._ui["modelEdit"].setText(path)

    def show(self, settings):
        ui = self._ui
        self._libraryPath = settings.libraryPath
        ui["modelEdit"].setText(settings.modelPath)
        ui["deviceBox"].setEditText(settings.device)
        ui["threadsBox"].setValue(settings.threads)
        ui["memoryBox"].setValue(settings.memoryLimitMb)
        ui["modeBox"].setCurrentIndex([mode for mode, _ in MODE_TEXTS].index(settings.mode))
        ui["infoLabel"].setText(_placeText(settings))

    def settings(self):
        """What is entered."""
        ui = self._ui
        return Settings(
            modelPath=ui["modelEdit"].property("text").strip(),
            libraryPath=self._libraryPath,
            device=ui["deviceBox"].property("currentText").strip() or "auto",
            threads=ui["threadsBox"].property("value"),
            memoryLimitMb=ui["memoryBox"].property("value"),
            mode=MODE_TEXTS[ui["modeBox"].property("currentIndex")][0],
        )

    _libraryPath = ""

    def showInfo(self, info, seconds=None):
        """What is loaded, on which hardware, and how long the last step took."""
        device = next((d for d in info["devices"] if d[0] == info["device"]), (info["device"], "", 0, 0))
        lines = [
            "Model %s on %s (%s), %s, %s." % (
                info["model"] or "without a name",
                device[0],
                device[1] or "unknown hardware",
                "1 thread" if info["threads"] == 1 else "%d threads" % info["threads"],
                "in a helper process" if info["helper"] else "in Slicer",
            ),
            "mem3d %s, libtorch %s. Weights: %s." % (info["version"], info["libtorch"], info["licence"] or "no licence named"),
        ]
        if seconds is not None:
            lines.append("The last step took %.1f s." % seconds)
        self._ui["infoLabel"].setText("\n".join(lines))

    def close(self):
        pass


def _placeText(settings):
    """Where the engine will run, and why."""
    if settings.mode == "inProcess":
        return "The engine will run in Slicer."
    if settings.mode == "helper":
        return "The engine will run in a helper process."
    version = installedTorchVersion()
    if mayRunInProcess():
        return "The engine will run in Slicer: " + (
            "no PyTorch is installed there." if version is None else "its PyTorch %s is the same as mem3d's." % version
        )
    return "The engine will run in a helper process: Slicer's PyTorch %s is not mem3d's." % version
