"""Fetches what a worker has, on the main thread, as long as it is busy. Qt, no MRML."""

import logging

import qt

from .Errors import UserError
from .Native import Error as EngineError

POLL_MS = 5  # each poll lets the worker go on: see Worker.BREATH_SECONDS


class Polling:
    """`onBusy(busy)` when the worker begins and ends to be busy; `onError(error)` for what its callbacks raise;
    `onIdle()` when nothing is left to do and all results were delivered."""

    def __init__(self, parent, worker, onBusy, onError, onIdle=lambda: None):
        self._worker = worker
        self._onBusy = onBusy
        self._onError = onError
        self._onIdle = onIdle
        self.timer = qt.QTimer(parent)
        self.timer.setInterval(POLL_MS)
        self.timer.timeout.connect(self.poll)
        worker.onBusyChanged = self._busyChanged

    def _busyChanged(self, busy):
        self._onBusy(busy)
        if busy:
            self.timer.start()
        else:
            self.timer.stop()

    def poll(self):
        try:
            self._worker.poll()
        except Exception as error:  # noqa: BLE001 - the timer must go on, and the user must see it
            self._onError(error)
        if not self._worker.busy:
            self._onIdle()

    def close(self):
        """At Slicer's end the timer may be gone already: an error then."""
        self._worker.onBusyChanged = None
        self.timer.stop()


def logBug(error):
    """Into the log, with its place, unless it is an error that is made for users."""
    if not isinstance(error, (UserError, EngineError)):
        logging.error("Mem3D: %s", error, exc_info=error)
