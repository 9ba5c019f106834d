"""The settings, as the effect's panel and the module show them: from and to a Settings. Qt, no MRML."""

import qt

from . import UiFiles
from .Engine import installedTorchVersion, mayRunInProcess
from .Settings import Settings

MODE_TEXTS = (("auto", "automatic"), ("inProcess", "in Slicer"), ("helper", "in a helper process"))


class SettingsForm:
    """`widget`: to be put somewhere; `ui`: what is in it by name; `onChosen(settings)` when the user takes what is
    entered into use. `compact`: nothing is seen of it but its button until that is pressed."""

    def __init__(self, onChosen, compact=False):
        self.widget, self.ui = UiFiles.load("Mem3DSettings")
        ui = self.ui
        self._onChosen = onChosen
        self._closable = ("settingsContent", "infoLabel") if compact else ("settingsContent",)
        self._show(False)
        for device in ("auto", "cpu", "cuda:0"):
            ui["deviceBox"].addItem(device)
        for _, text in MODE_TEXTS:
            ui["modeBox"].addItem(text)
        ui["settingsButton"].toggled.connect(self._toggled)
        ui["modelBrowseButton"].clicked.connect(lambda *_: self._browse())
        ui["settingsApplyButton"].clicked.connect(lambda *_: self._onChosen(self.settings()))

    def _toggled(self, shown):
        self.ui["settingsButton"].setArrowType(qt.Qt.DownArrow if shown else qt.Qt.RightArrow)
        self._show(bool(shown))

    def _show(self, shown):
        for name in self._closable:
            self.ui[name].setVisible(shown)

    def _browse(self):
        path = qt.QFileDialog.getOpenFileName(
            self.widget, "Choose a mem3d model", "", "mem3d models (*.safetensors)"
        )
        if isinstance(path, tuple):  # PySide gives the filter, too
            path = path[0]
        if path:
            self.ui["modelEdit"].setText(path)

    def show(self, settings):
        ui = self.ui
        self._libraryPath = settings.libraryPath
        ui["modelEdit"].setText(settings.modelPath)
        ui["deviceBox"].setEditText(settings.device)
        ui["threadsBox"].setValue(settings.threads)
        ui["memoryBox"].setValue(settings.memoryLimitMb)
        ui["modeBox"].setCurrentIndex([mode for mode, _ in MODE_TEXTS].index(settings.mode))
        ui["infoLabel"].setText(_placeText(settings))

    def settings(self):
        """What is entered."""
        ui = self.ui
        return Settings(
            modelPath=ui["modelEdit"].property("text").strip(),
            libraryPath=self._libraryPath,
            device=ui["deviceBox"].property("currentText").strip() or "auto",
            threads=ui["threadsBox"].property("value"),
            memoryLimitMb=ui["memoryBox"].property("value"),
            mode=MODE_TEXTS[ui["modeBox"].property("currentIndex")][0],
        )

    _libraryPath = ""

    def showInfo(self, info, stepSeconds=None, roundSeconds=None):
        """What is loaded, on which hardware, and how long the last step and the last propagation took."""
        device = next((d for d in info["devices"] if d[0] == info["device"]), (info["device"], "", 0, 0))
        lines = [
            "Model %s on %s (%s), %s, %s." % (
                info["model"] or "without a name",
                device[0],
                device[1] or "unknown hardware",
                "1 thread" if info["threads"] == 1 else "%d threads" % info["threads"],
                "in a helper process" if info["helper"] else "in Slicer",
            ),
            "mem3d %s, libtorch %s. Weights: %s."
            % (info["version"], info["libtorch"], info["licence"] or "no licence named"),
        ]
        if stepSeconds is not None:
            lines.append("The last step took %.1f s." % stepSeconds)
        if roundSeconds is not None:
            lines[-1] += " The last propagation took %.1f s." % roundSeconds
        self.ui["infoLabel"].setText("\n".join(lines))


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
