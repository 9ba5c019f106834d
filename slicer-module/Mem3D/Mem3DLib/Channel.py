"""Messages between the helper process and the one that started it: pickles over two pipes, and a file mapped by both
for arrays that are too large to be copied through a pipe.

Needs the standard library and numpy; used on both sides.
"""

import os
import pickle
import struct
import tempfile

import numpy as np

# Below this, a pipe is as fast as shared memory.
_SMALL_BYTES = 1 << 16


class _InBuffer:
    """Stands for an array that lies at the start of the shared buffer."""

    def __init__(self, shape, dtype):
        self.shape = shape
        self.dtype = dtype


class SharedFile:
    """`size` bytes that another process can map by `path`. The file goes when discard() or close() is called, or this
    object goes. OSError when there is no room."""

    path = bytes = None

    def __init__(self, size):
        handle, self.path = tempfile.mkstemp(prefix="mem3d-", suffix=".shared", dir=_folderWithRoom(size))
        try:
            with os.fdopen(handle, "r+b") as file:
                file.truncate(size)
                # A page that cannot be had when it is touched would be the end of the process: ask for all now.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
            self.bytes = openShared(self.path)
        except BaseException:
            self.discard()
            raise

    def discard(self):
        """Removes the file's name; both mappings stay valid where the system can do that."""
        if self.path:
            try:
                os.unlink(self.path)
                self.path = None
            except OSError:
                pass  # Windows keeps the name while it is mapped; tried again later

    def close(self):
        """Ends the mapping of this process, too."""
        self.bytes = None
        self.discard()

    def __del__(self):
        self.close()


def openShared(path):
    """Maps the file: an array of bytes."""
    return np.memmap(path, dtype=np.uint8, mode="r+")


def _folderWithRoom(size):
    memory = "/dev/shm"
    try:
        room = os.statvfs(memory)
        if os.access(memory, os.W_OK) and room.f_bavail * room.f_frsize > 2 * size:
            return memory
    except (AttributeError, OSError):
        pass
    return tempfile.gettempdir()


class Channel:
    """One end of the line."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self.buffer = None  # bytes mapped by both sides; None until there is one

    def send(self, message):
        """Sends a tuple; at most one array in it goes through the buffer."""
        raw = pickle.dumps(self._pack(message), protocol=4)
        self._writer.write(struct.pack("<Q", len(raw)) + raw)
        self._writer.flush()

    def receive(self):
        """The next message; EOFError when the other end is gone."""
        (size,) = struct.unpack("<Q", self._read(8))
        return self._unpack(pickle.loads(self._read(size)))

    def _read(self, size):
        parts = []
        while size > 0:
            part = self._reader.read(size)
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _pack(self, message):
        used = False

        def pack(value):
            nonlocal used
            if type(value) is tuple:
                return tuple(pack(v) for v in value)
            if isinstance(value, dict):
                return {k: pack(v) for k, v in value.items()}
            if not isinstance(value, np.ndarray) or value.nbytes < _SMALL_BYTES or used:
                return value
            if self.buffer is None or value.nbytes > len(self.buffer):
                return value
            used = True
            value = np.ascontiguousarray(value)
            self.buffer[: value.nbytes] = value.reshape(-1).view(np.uint8)
            return _InBuffer(value.shape, value.dtype.str)

        return pack(message)

    def _unpack(self, value):
        if isinstance(value, _InBuffer):
            dtype = np.dtype(value.dtype)
            size = int(np.prod(value.shape)) * dtype.itemsize
            return np.array(self.buffer[:size]).view(dtype).reshape(value.shape)
        if type(value) is tuple:
            return tuple(self._unpack(v) for v in value)
        if type(value) is dict:
            return {k: self._unpack(v) for k, v in value.items()}
        return value
