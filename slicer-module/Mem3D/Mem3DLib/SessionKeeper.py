"""A session that outlives its engine: when a helper process dies, the next call starts another one and brings the
session back to where it was.

What was done since the last snapshot is done again in order; the engine is deterministic, so the masks come out the
same. A snapshot is taken after each propagation, which is the only step worth not repeating. Used by one thread.
"""

import os
import tempfile

from . import Native
from .Engine import CHANGES, makeEngine
from .Errors import HelperDiedError, UserError
from .HelperEngine import helperEnvironment


class SessionKeeper:
    """One engine, started when first needed, and at most one session in it. Made on the main thread, the only one on
    which Slicer gives its environment."""

    def __init__(self, settings, makeEngine=makeEngine):
        self.settings = settings
        self.info = None  # what Engine.start() gave
        self._makeEngine = makeEngine
        self._environment = helperEnvironment()
        self._engine = None
        self._running = False
        self._opened = None  # (volume, geometry) of the session
        self._journal = []  # changes since the snapshot
        self._snapshot = None

    def start(self):
        """Loads library and model unless that is done; gives what is worth showing."""
        if not self._running:
            if self._engine is None:
                self._engine = self._makeEngine(self.settings, self._environment)
            self.info = self._engine.start(self.settings)
            self._running = True
        return self.info

    def open(self, volume, geometry):
        """Opens a session on `volume`, which must not change from now on, instead of the one before."""
        self.start()
        self._forget()
        self._engineCall(self._engine.openSession, volume, geometry, self.settings.sessionOptions())
        self._opened = (volume, geometry) if self._engine.isHelper else ()

    def isOpen(self):
        return self._opened is not None

    def call(self, name, *arguments, onSlice=None, **named):
        """One method of the session."""
        if self._opened is None:
            raise Native.InvalidStateError("no session is open")
        if not self._running:
            self._restore()
        result = self._engineCall(self._engine.call, name, *arguments, onSlice=onSlice, **named)
        if name in CHANGES and self._engine.isHelper:
            self._journal.append((name, arguments, named))
            if name == "propagate":
                self._takeSnapshot()
        return result

    def _engineCall(self, method, *arguments, **named):
        try:
            return method(*arguments, **named)
        except HelperDiedError:
            self._running = False
            raise

    def _restore(self):
        self.start()
        volume, geometry = self._opened
        try:
            self._engine.openSession(volume, geometry, self.settings.sessionOptions())
            if self._snapshot is not None:
                self._engine.call("restore", self._snapshot)
            for name, arguments, named in self._journal:
                self._engine.call(name, *arguments, **named)
        except BaseException:
            self._running = False  # a part of the session is none: the next call starts again
            raise

    def _takeSnapshot(self):
        try:
            if self._snapshot is None:
                handle, self._snapshot = tempfile.mkstemp(prefix="mem3d-", suffix=".session")
                os.close(handle)
                os.unlink(self._snapshot)
            self._engineCall(self._engine.call, "save", self._snapshot)
            self._journal = []
        except HelperDiedError:
            raise
        except (Native.Error, UserError, OSError):
            pass  # no room for it: the journal has everything

    def _forget(self):
        self._opened = None
        self._journal = []
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None and os.path.exists(snapshot):
            os.unlink(snapshot)

    def close(self):
        """Ends the engine and forgets the session."""
        self._forget()
        engine, self._engine, self._running, self.info = self._engine, None, False, None
        if engine is not None:
            engine.close()
