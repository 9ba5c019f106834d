"""The statuses of mem3d.h as exceptions."""


class Error(Exception):
    """A call that failed. Its text states the cause and what to do; nothing is changed."""

    status = None


class LibraryNotFoundError(Error):
    """The shared library is missing, or cannot be used."""


class InvalidArgumentError(Error):
    status = 1


class InvalidStateError(Error):
    status = 2


class BusyError(Error):
    status = 3


class CancelledError(Error):
    status = 4


class FileError(Error):
    status = 5


class BadModelError(Error):
    status = 6


class UnsupportedError(Error):
    status = 7


class NoMemoryError(Error):
    status = 8


class TorchError(Error):
    status = 9


class InternalError(Error):
    status = 99


ERRORS = {c.status: c for c in Error.__subclasses__() if c.status is not None}
