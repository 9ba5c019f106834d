"""mem3d.h for Python: one class a handle, statuses as exceptions. Needs ctypes and numpy, nothing of Slicer.

Arrays are numpy arrays [depth, height, width]; points are voxel indices in that order. Axes are numpy's, from 0;
mem3d.h counts them from 1. The calls release the interpreter lock. An exception of a callback stops the call.

    with Library() as library, library.loadModel(path) as model, model.openSession(volume, spacingMm) as session:
        session.interact(1, AXIS_DEPTH, 40, SCRIBBLE, points=[[40, 100, 120], [40, 110, 130]])
        session.propagate(onSlice=lambda progress: True)
        mask = session.readMask(1)
"""

import ctypes
import os
import sys
from collections import namedtuple

import numpy as np

from . import NativeTypes as c
from .NativeErrors import *  # noqa: F403 - the exceptions are part of this module's interface
from .NativeErrors import ERRORS, CancelledError, InternalError, InvalidArgumentError, LibraryNotFoundError

ABI_VERSION = 1
FILE_NAME = {"win32": "mem3d.dll", "darwin": "libmem3d.dylib"}.get(sys.platform, "libmem3d.so")

AXIS_DEPTH, AXIS_HEIGHT, AXIS_WIDTH = range(3)
SCRIBBLE, BOX, EXTREME_POINTS, CLICK = range(4)
BOTH, UP, DOWN = range(3)
PRESET_COMPACT, PRESET_PAPER = range(2)
PRECISION_AUTO, PRECISION_F32, PRECISION_BF16, PRECISION_F16 = range(4)
LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE = range(1, 6)

_SCALARS = "uint8 int8 uint16 int16 uint32 int32 float32 float64".split()
SCALAR_TYPES = {name: number + 1 for number, name in enumerate(_SCALARS)}

Device = namedtuple("Device", "id name memoryTotalBytes memoryFreeBytes")
_INFO = "preset name provenance licence checksum device interactionKinds networkSize sliceSize contextSlices "
ModelInfo = namedtuple("ModelInfo", _INFO + "keyChannels valueChannels keyStride")
Progress = namedtuple("Progress", "done total slice segment")
Suggestion = namedtuple("Suggestion", "segment axis slice quality gain")
MemoryUsage = namedtuple("MemoryUsage", "volumeBytes masksBytes featuresBytes")


def _axisNumber(axis):
    """What mem3d.h calls an axis of the arrays."""
    if axis not in (AXIS_DEPTH, AXIS_HEIGHT, AXIS_WIDTH):
        raise InvalidArgumentError("axis is %r; use 0 (depth), 1 (height) or 2 (width)" % (axis,))
    return axis + 1


def libraryCandidates(path=None):
    """Where the shared library is searched: only `path` or MEM3D_LIBRARY when given, else beside this module, in the
    module's folder, and in the build folder of the source tree."""
    path = path or os.environ.get("MEM3D_LIBRARY")
    if path:
        return [os.fspath(path)]
    here = os.path.dirname(os.path.abspath(__file__))
    module = os.path.dirname(here)
    root = os.path.dirname(os.path.dirname(module))
    folders = [here, module, os.path.join(module, "lib"), os.path.join(root, "target", "release")]
    return [os.path.join(folder, FILE_NAME) for folder in folders]


class Library:
    """The loaded shared library."""

    def __init__(self, path=None):
        candidates = libraryCandidates(path)
        found = next((c for c in candidates if os.path.exists(c)), None)
        if found is None:
            remedy = "Build it (make build), or set MEM3D_LIBRARY to its path. Searched: "
            raise LibraryNotFoundError("libmem3d was not found. " + remedy + ", ".join(candidates))
        try:
            self._c = c.load(found)
        except OSError as error:
            remedy = "Build it again on this computer (make build), or name another one by MEM3D_LIBRARY"
            raise LibraryNotFoundError("%s cannot be loaded: %s. %s." % (found, error, remedy)) from error
        self.path = found
        self._logFunction = None
        for name, arguments in c.FUNCTIONS.items():
            try:
                function = getattr(self._c, name)
            except AttributeError as error:
                raise LibraryNotFoundError("%s has no %s; it is of another version" % (found, name)) from error
            function.argtypes = arguments
            function.restype = c.RESULTS.get(name, ctypes.c_int32)
        if self._c.mem3d_abi_version() != ABI_VERSION:
            raise LibraryNotFoundError(
                "%s has ABI version %d, this module needs %d; install the matching mem3d"
                % (found, self._c.mem3d_abi_version(), ABI_VERSION)
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.setLogCallback(None)

    def call(self, name, *arguments):
        """Calls a function that gives a status; raises unless it succeeded."""
        status = getattr(self._c, name)(*arguments)
        if status != 0:
            raise ERRORS.get(status, InternalError)(c.text(self._c.mem3d_last_error()))

    def version(self):
        return c.text(self._c.mem3d_version())

    def libtorchVersion(self):
        return c.text(self._c.mem3d_libtorch_version())

    def setLogCallback(self, onMessage, level=LOG_INFO):
        """Sends messages to `onMessage(level, text)`; None stops them. It may be called from any thread; what it raises
        is dropped."""

        def trampoline(level, message, _):
            try:
                onMessage(level, c.text(message))
            except Exception:  # noqa: BLE001 - nothing may pass through C, and a message is not worth a crash
                pass

        function = c.mem3d_log_fn(trampoline) if onMessage else c.mem3d_log_fn()
        self.call("mem3d_set_log_callback", function, None, level)
        self._logFunction = function

    def devices(self):
        count = ctypes.c_uint32()
        self.call("mem3d_device_get_count", ctypes.byref(count))
        found = []
        for index in range(count.value):
            info = c.struct(c.mem3d_device_info)
            self.call("mem3d_device_get_info", index, ctypes.byref(info))
            found.append(Device(c.text(info.id), c.text(info.name), info.memory_total_bytes, info.memory_free_bytes))
        return found

    def setThreadCount(self, count):
        self.call("mem3d_set_thread_count", count)

    def threadCount(self):
        count = ctypes.c_uint32()
        self.call("mem3d_get_thread_count", ctypes.byref(count))
        return count.value

    def loadModel(self, path, device="auto", precision=PRECISION_AUTO):
        options = c.struct(c.mem3d_model_options, device=device.encode("utf-8"), precision=precision)
        handle = ctypes.c_void_p()
        self.call("mem3d_model_load", c.path(path), ctypes.byref(options), ctypes.byref(handle))
        return Model(self, handle)

    def randomModel(self, preset=PRESET_COMPACT, seed=0, device="auto", precision=PRECISION_AUTO):
        """A model with random weights, for tests: its masks mean nothing."""
        options = c.struct(c.mem3d_model_options, device=device.encode("utf-8"), precision=precision)
        handle = ctypes.c_void_p()
        self.call("mem3d_model_random", preset, seed, ctypes.byref(options), ctypes.byref(handle))
        return Model(self, handle)


class _Handle:
    """Something of the library that must be freed: use it in a `with`, or call free()."""

    _freeFunction = None

    def __init__(self, library, handle):
        self._library = library
        self._handle = handle

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.free()

    def __del__(self):
        self.free()

    def free(self):
        """Frees it. A propagation that runs on it ends as cancelled; calls after this raise."""
        handle, self._handle = self._handle, None
        if handle is not None:
            getattr(self._library._c, self._freeFunction)(handle)

    def _call(self, name, *arguments):
        # A freed handle is NULL here, which the library refuses by name.
        self._library.call(name, self._handle, *arguments)


class Model(_Handle):
    """The networks of one model file on one device; shared by sessions and threads."""

    _freeFunction = "mem3d_model_free"

    def info(self):
        raw = c.struct(c.mem3d_model_info)
        self._call("mem3d_model_get_info", ctypes.byref(raw))
        kinds = [kind for kind in range(32) if raw.interaction_kinds >> kind & 1]
        texts = [c.text(t) for t in (raw.name, raw.provenance, raw.licence, raw.checksum, raw.device)]
        sizes = [raw.network_size, raw.slice_size, raw.context_slices, raw.key_channels, raw.value_channels]
        return ModelInfo(raw.preset, *texts, kinds, *sizes, raw.key_stride)

    def openSession(self, volume, spacingMm=(1.0, 1.0, 1.0), originMm=(0.0, 0.0, 0.0), direction=None, **options):
        """A session on a copy of `volume`. `direction`: three rows, one an axis, LPS; options: the fields of
        mem3d_session_options."""
        volume = np.asarray(volume)
        if volume.ndim != 3:
            raise InvalidArgumentError("volume has %d dimensions; give [depth, height, width]" % volume.ndim)
        scalarType = SCALAR_TYPES.get(volume.dtype.name)
        if scalarType is None:
            raise InvalidArgumentError(
                "volume is of type %s; convert it to one of %s" % (volume.dtype, ", ".join(SCALAR_TYPES))
            )
        volume = volume.astype(volume.dtype.newbyteorder("="), copy=False)
        if 0 in volume.strides:
            volume = np.ascontiguousarray(volume)
        view = c.struct(c.mem3d_volume_view, scalar_type=scalarType, data=volume.ctypes.data)
        view.shape[:] = volume.shape
        view.byte_strides[:] = volume.strides
        view.spacing_mm[:] = spacingMm
        view.origin_mm[:] = originMm
        if direction is not None:
            view.direction[:] = np.asarray(direction, dtype=np.float64).ravel()
        raw = c.struct(c.mem3d_session_options, **options)
        handle = ctypes.c_void_p()
        self._call("mem3d_session_new", ctypes.byref(view), ctypes.byref(raw), ctypes.byref(handle))
        return Session(self._library, handle, volume.shape)


class Session(_Handle):
    """One user's work on one volume; serves one call at a time, from any thread."""

    _freeFunction = "mem3d_session_free"

    def __init__(self, library, handle, shape):
        super().__init__(library, handle)
        self.shape = tuple(int(side) for side in shape)

    def sliceShape(self, axis):
        """Rows and columns of a slice cut along `axis`."""
        _axisNumber(axis)
        return self.shape[:axis] + self.shape[axis + 1 :]

    def interact(self, segment, axis, slice, kind, points=None, raster=None, negative=False, radiusMm=0.0, lpsMm=False):
        """Draws; returns the slice's new mask. Points are [[depth, height, width], ...], or positions with `lpsMm`,
        whose slice counts instead of `slice`; a raster is a mask of the slice."""
        mask = np.empty(self.sliceShape(axis), np.uint8)
        drawn = c.struct(
            c.mem3d_interaction,
            segment=segment,
            axis=_axisNumber(axis),
            slice=slice,
            kind=kind,
            negative=int(negative),
            radius_mm=radiusMm,
            coordinates=int(lpsMm),
        )
        if points is not None:
            points = np.ascontiguousarray(points, dtype=np.float64)
            if points.ndim != 2 or points.shape[1] != 3:
                raise InvalidArgumentError("points has shape %s; give n rows of depth, height, width" % (points.shape,))
            drawn.points, drawn.n_points = points.ctypes.data, len(points)
        if raster is not None:
            raster = self._maskBytes(raster, mask.shape, "raster")
            drawn.raster = raster.ctypes.data
        self._call("mem3d_session_interact", ctypes.byref(drawn), mask.ctypes.data, mask.size)
        return mask

    def setSliceMask(self, segment, axis, slice, mask):
        mask = self._maskBytes(mask, self.sliceShape(axis), "mask")
        self._call("mem3d_session_set_slice_mask", segment, _axisNumber(axis), slice, mask.ctypes.data, mask.size)

    def setMask(self, segment, mask):
        mask = self._maskBytes(mask, self.shape, "mask")
        self._call("mem3d_session_set_mask", segment, mask.ctypes.data, mask.size)

    def accept(self, segment, axis, slice):
        self._call("mem3d_session_accept", segment, _axisNumber(axis), slice)

    def propagate(self, segment=0, axis=None, direction=BOTH, firstSlice=0, nSlices=0, onSlice=None):
        """Propagates the masks through the volume, along the axis last drawn on when `axis` is None; returns the number
        of slices replaced. `onSlice(Progress)` runs on this thread; returning false or raising stops the call."""
        raised = []

        def trampoline(progress, _):
            try:
                now = progress.contents
                return bool(onSlice(Progress(now.done, now.total, now.slice, now.segment)))
            except BaseException as error:  # noqa: BLE001 - nothing may pass through C; raised again below
                raised.append(error)
                return False

        options = c.struct(
            c.mem3d_propagate_options,
            segment=segment,
            axis=0 if axis is None else _axisNumber(axis),
            direction=direction,
            first_slice=firstSlice,
            n_slices=nSlices,
        )
        if onSlice is not None:
            options.on_slice = c.mem3d_progress_fn(trampoline)
        updated = ctypes.c_uint32()
        try:
            self._call("mem3d_session_propagate", ctypes.byref(options), ctypes.byref(updated))
        except CancelledError:
            if not raised:
                raise
        if raised:
            raise raised[0]
        return updated.value

    def cancel(self):
        """Stops a running propagate(), from any thread."""
        self._call("mem3d_session_cancel")

    def undo(self):
        return self._changed("mem3d_session_undo")

    def redo(self):
        return self._changed("mem3d_session_redo")

    def reset(self, segment=0):
        self._call("mem3d_session_reset", segment)

    def segments(self):
        return self._list("mem3d_session_get_segments")

    def annotatedSlices(self, segment, axis):
        return self._list("mem3d_session_get_annotated_slices", segment, _axisNumber(axis))

    def readQuality(self, segment, axis):
        """One value per slice along `axis`, 0..1."""
        number = _axisNumber(axis)
        quality = np.empty(self.shape[axis], np.float32)
        self._call("mem3d_session_read_quality", segment, number, quality.ctypes.data, quality.size)
        return quality

    def suggestSlice(self, segment=0):
        """The slice to correct next, or None."""
        best = c.struct(c.mem3d_suggestion)
        self._call("mem3d_session_suggest_slice", segment, ctypes.byref(best))
        return Suggestion(best.segment, best.axis - 1, best.slice, best.quality, best.gain) if best.found else None

    def readMask(self, segment):
        return self._read("mem3d_session_read_mask", np.uint8, segment)

    def readSliceMask(self, segment, axis, slice):
        mask = np.empty(self.sliceShape(axis), np.uint8)
        self._call("mem3d_session_read_slice_mask", segment, _axisNumber(axis), slice, mask.ctypes.data, mask.size)
        return mask

    def readProbability(self, segment):
        return self._read("mem3d_session_read_probability", np.float32, segment)

    def readLabels(self):
        return self._read("mem3d_session_read_labels", np.uint16)

    def window(self):
        """Intensities that are mapped to 0 and 1 for the networks."""
        low, high = ctypes.c_double(), ctypes.c_double()
        self._call("mem3d_session_get_window", ctypes.byref(low), ctypes.byref(high))
        return low.value, high.value

    def index(self, lpsMm):
        """The voxel index [depth, height, width], with fractions, of a position in mm."""
        position, index = np.array(lpsMm, dtype=np.float64).reshape(3), np.empty(3)
        self._call("mem3d_session_get_index", position.ctypes.data, index.ctypes.data)
        return index

    def memoryUsage(self):
        usage = c.struct(c.mem3d_memory_usage)
        self._call("mem3d_session_get_memory_usage", ctypes.byref(usage))
        return MemoryUsage(usage.volume_bytes, usage.masks_bytes, usage.features_bytes)

    def save(self, path):
        self._call("mem3d_session_save", c.path(path))

    def restore(self, path):
        self._call("mem3d_session_restore", c.path(path))

    def _read(self, name, dtype, *arguments):
        array = np.empty(self.shape, dtype)
        self._call(name, *arguments, array.ctypes.data, array.size)
        return array

    def _changed(self, name):
        changed = ctypes.c_bool()
        self._call(name, ctypes.byref(changed))
        return changed.value

    def _list(self, name, *arguments):
        return c.listOf(lambda *out: self._call(name, *arguments, *out))

    @staticmethod
    def _maskBytes(mask, shape, name):
        mask = np.asarray(mask)
        if mask.shape != tuple(shape):
            raise InvalidArgumentError("%s is of shape %s; give one of shape %s" % (name, mask.shape, tuple(shape)))
        return np.ascontiguousarray(mask != 0, dtype=np.uint8)
