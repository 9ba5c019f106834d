"""The panel of the module "Mem3D": where things are, the engine's settings, and a try of the installation."""

import logging

import qt
import slicer

from . import Installer, UiFiles
from .Ending import endAll
from .Errors import UserError
from .HelperEngine import helperEnvironment
from .Native import Error as EngineError
from .Registration import loadSample, sampleVolume, tutorial
from .SelfTest import sentence, tryEngine
from .Settings import Settings
from .SettingsForm import SettingsForm
from .Worker import Worker

POLL_MS = 5


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
        self.worker.onBusyChanged = self._busyChanged
        self._timer = qt.QTimer(self.widget)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.worker.poll)
        layout.addWidget(self.widget)
        self.enter()

    def enter(self):
        """The settings may have been changed in the effect's panel."""
        self.settings.show(Settings.load(self._store))

    def close(self):
        """Ends what would outlive the panel; may be called more than once."""
        self.worker.onBusyChanged = None
        self.worker.close()
        endAll(lambda: self._timer.stop())

    def _chosen(self, settings):
        settings.save(self._store)
        self.settings.show(settings)
        self.ui["testLabel"].setText("Kept. The effect uses these settings from its next start on.")

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
        self._chosen(self.settings.settings()._replace(libraryPath=library, **mode))
        self._try()

    def _tried(self, result):
        self.settings.showInfo(result.info)
        self.ui["testLabel"].setText(sentence(result))

    def _failed(self, error):
        if not isinstance(error, (UserError, EngineError)):  # a bug: the panel shows the message, the log the place
            logging.error("Mem3D: %s", error, exc_info=error)
        self.ui["testLabel"].setText("It does not work: %s" % error)

    def _busyChanged(self, busy):
        self.ui["testButton"].setEnabled(not busy)
        if busy:
            self._timer.start()
        else:
            self._timer.stop()
