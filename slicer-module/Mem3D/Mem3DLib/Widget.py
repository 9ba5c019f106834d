"""The panel of the module "Mem3D": where things are, the engine's settings, and a try of the installation."""

import qt
import slicer

from . import Installer, UiFiles
from .Ending import endAll
from .Engine import needsRestart
from .Errors import UserError
from .HelperEngine import helperEnvironment
from .Polling import Polling, logBug
from .Registration import loadSample, sampleVolume, tutorial
from .SelfTest import sentence, tryEngine
from .Settings import Settings
from .SettingsForm import SettingsForm
from .Worker import Worker


class Widget:
    """Into `layout`; settings are kept in `store`, a QSettings."""

    def __init__(self, layout, store):
        self._store = store
        self.widget, self.ui = UiFiles.load("Mem3D")
        self.settings = SettingsForm(self._chosen)
        self.ui["engineBox"].layout().insertWidget(0, self.settings.widget)
        self.ui.update(self.settings.ui)
        self.ui["tutorialLabel"].setText("Tutorial: %s. Everything runs on this computer." % tutorial())
        self.ui["sampleButton"].setEnabled(sampleVolume() is not None)
        self.ui["openButton"].clicked.connect(lambda *_: slicer.util.selectModule("SegmentEditor"))
        self.ui["sampleButton"].clicked.connect(lambda *_: loadSample())
        self.ui["testButton"].clicked.connect(lambda *_: self._try())
        self.ui["installButton"].clicked.connect(lambda *_: self._install())
        self.worker = Worker()
        self._polling = Polling(self.widget, self.worker, self._showBusy, self._failed)
        layout.addWidget(self.widget)
        self.enter()

    def enter(self):
        """The settings may have been changed in the effect's panel."""
        self.settings.show(Settings.load(self._store))

    def close(self):
        """Ends what would outlive the panel; may be called more than once."""
        self.worker.close()
        endAll(self._polling.close)

    def _chosen(self, settings):
        settings.save(self._store)
        self.settings.show(settings)
        self.ui["testLabel"].setText("Saved. The effect Mem3D takes them when it is chosen next.")

    def _try(self):
        settings = self.settings.settings()
        self.ui["testLabel"].setText("Loading library and model, and segmenting a small volume...")
        environment = helperEnvironment()
        self.worker.run(lambda job: tryEngine(settings, environment), self._tried, self._failed)

    def _install(self):
        filter = "Wheels of mem3d (mem3d-*.whl)"
        wheel = qt.QFileDialog.getOpenFileName(self.widget, "Choose a wheel of mem3d", "", filter)
        wheel = wheel[0] if isinstance(wheel, tuple) else wheel  # PySide gives the filter, too
        if not wheel:
            return
        try:
            plan = Installer.plan(wheel, slicer.app.slicerUserSettingsFilePath)
            if not slicer.util.confirmOkCancelDisplay(Installer.question(plan), "Mem3D"):
                return
            self.ui["testLabel"].setText("Installing...")
            slicer.app.processEvents()
            library = Installer.install(plan)
        except UserError as error:
            self.ui["testLabel"].setText("Nothing was changed: %s" % error)
            return
        # A folder of its own serves the helper process alone.
        mode = {} if plan.folder is None else {"mode": "helper"}
        settings = self.settings.settings()._replace(libraryPath=library, **mode)
        self._chosen(settings)
        if needsRestart(settings):
            self.ui["testLabel"].setText("Installed. Restart Slicer to use it: another library is loaded already.")
        else:
            self._try()

    def _tried(self, result):
        self.settings.showInfo(result.info)
        self.ui["testLabel"].setText(sentence(result))

    def _failed(self, error):
        logBug(error)
        self.ui["testLabel"].setText("It does not work: %s" % error)

    def _showBusy(self, busy):
        self.ui["testButton"].setEnabled(not busy)
