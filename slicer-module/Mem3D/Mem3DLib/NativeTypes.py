"""The structs and functions of mem3d.h for ctypes, field by field and argument by argument. Native.py makes classes of
them."""

import ctypes
import os
import sys

from .NativeErrors import InvalidArgumentError

# ---- structs, field by field as in mem3d.h ----


class mem3d_device_info(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("id", ctypes.c_char * 32),
        ("name", ctypes.c_char * 128),
        ("memory_total_bytes", ctypes.c_uint64),
        ("memory_free_bytes", ctypes.c_uint64),
    ]


class mem3d_model_options(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("precision", ctypes.c_int32), ("device", ctypes.c_char_p)]


class mem3d_model_info(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("preset", ctypes.c_int32),
        ("name", ctypes.c_char_p),
        ("provenance", ctypes.c_char_p),
        ("licence", ctypes.c_char_p),
        ("checksum", ctypes.c_char_p),
        ("device", ctypes.c_char_p),
        ("interaction_kinds", ctypes.c_uint32),
        ("network_size", ctypes.c_uint32),
        ("slice_size", ctypes.c_uint32),
        ("context_slices", ctypes.c_uint32),
        ("key_channels", ctypes.c_uint32),
        ("value_channels", ctypes.c_uint32),
        ("key_stride", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


class mem3d_volume_view(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("scalar_type", ctypes.c_int32),
        ("data", ctypes.c_void_p),
        ("shape", ctypes.c_int64 * 3),
        ("byte_strides", ctypes.c_int64 * 3),
        ("spacing_mm", ctypes.c_double * 3),
        ("origin_mm", ctypes.c_double * 3),
        ("direction", ctypes.c_double * 9),
    ]


class mem3d_interaction(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("segment", ctypes.c_uint32),
        ("axis", ctypes.c_int32),
        ("slice", ctypes.c_uint32),
        ("kind", ctypes.c_int32),
        ("negative", ctypes.c_uint32),
        ("points", ctypes.c_void_p),
        ("n_points", ctypes.c_size_t),
        ("radius_mm", ctypes.c_double),
        ("raster", ctypes.c_void_p),
        ("raster_byte_strides", ctypes.c_int64 * 2),
        ("coordinates", ctypes.c_int32),
        ("reserved", ctypes.c_uint32),
    ]


class mem3d_progress(ctypes.Structure):
    _fields_ = [
        ("done", ctypes.c_uint32),
        ("total", ctypes.c_uint32),
        ("slice", ctypes.c_uint32),
        ("segment", ctypes.c_uint32),
    ]


mem3d_progress_fn = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.POINTER(mem3d_progress), ctypes.c_void_p)
mem3d_slice_fn = ctypes.CFUNCTYPE(
    ctypes.c_bool,
    ctypes.POINTER(mem3d_progress),
    ctypes.POINTER(ctypes.c_uint8),
    ctypes.c_uint32,
    ctypes.c_uint32,
    ctypes.c_void_p,
)
mem3d_log_fn = ctypes.CFUNCTYPE(None, ctypes.c_int32, ctypes.c_char_p, ctypes.c_void_p)


class mem3d_propagate_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("segment", ctypes.c_uint32),
        ("axis", ctypes.c_int32),
        ("direction", ctypes.c_int32),
        ("first_slice", ctypes.c_uint32),
        ("n_slices", ctypes.c_uint32),
        ("on_slice", mem3d_progress_fn),
        ("user_data", ctypes.c_void_p),
        ("on_mask", mem3d_slice_fn),
    ]


class mem3d_session_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("replace_non_finite", ctypes.c_uint32),
        ("window_low", ctypes.c_double),
        ("window_high", ctypes.c_double),
        ("feature_cache_bytes", ctypes.c_uint64),
        ("undo_depth", ctypes.c_int32),
        ("keep_cuda_cache", ctypes.c_uint32),
        ("no_refinement", ctypes.c_uint32),
        # Tuning, rarely needed
        ("whole_slice", ctypes.c_uint32),
        ("memorize_every", ctypes.c_int32),
        ("max_memory_slices", ctypes.c_int32),
        ("stop_after_empty", ctypes.c_int32),
        ("min_area", ctypes.c_int32),
        ("min_probability", ctypes.c_double),
        ("min_area_fraction", ctypes.c_double),
        ("min_presence", ctypes.c_double),
        ("roi_scale", ctypes.c_double),
    ]


class mem3d_suggestion(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("found", ctypes.c_uint32),
        ("segment", ctypes.c_uint32),
        ("axis", ctypes.c_int32),
        ("slice", ctypes.c_uint32),
        ("quality", ctypes.c_float),
        ("gain", ctypes.c_float),
        ("reserved", ctypes.c_uint32),
    ]


class mem3d_memory_usage(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("volume_bytes", ctypes.c_uint64),
        ("masks_bytes", ctypes.c_uint64),
        ("features_bytes", ctypes.c_uint64),
    ]


# ---- functions: types of the parameters; RESULTS has the types of results that are no status ----

_P = ctypes.POINTER
_HANDLE, _TEXT, _BUFFER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p
_I32, _U32, _SIZE = ctypes.c_int32, ctypes.c_uint32, ctypes.c_size_t

FUNCTIONS = {
    "mem3d_last_error": [],
    "mem3d_version": [],
    "mem3d_abi_version": [],
    "mem3d_libtorch_version": [],
    "mem3d_set_log_callback": [mem3d_log_fn, ctypes.c_void_p, _I32],
    "mem3d_device_get_count": [_P(_U32)],
    "mem3d_device_get_info": [_U32, _P(mem3d_device_info)],
    "mem3d_set_thread_count": [_U32],
    "mem3d_get_thread_count": [_P(_U32)],
    "mem3d_model_load": [_TEXT, _P(mem3d_model_options), _P(_HANDLE)],
    "mem3d_model_random": [_I32, ctypes.c_int64, _P(mem3d_model_options), _P(_HANDLE)],
    "mem3d_model_get_info": [_HANDLE, _P(mem3d_model_info)],
    "mem3d_model_free": [_HANDLE],
    "mem3d_session_new": [_HANDLE, _P(mem3d_volume_view), _P(mem3d_session_options), _P(_HANDLE)],
    "mem3d_session_free": [_HANDLE],
    "mem3d_session_interact": [_HANDLE, _P(mem3d_interaction), _BUFFER, _SIZE],
    "mem3d_session_set_slice_mask": [_HANDLE, _U32, _I32, _U32, _BUFFER, _SIZE],
    "mem3d_session_set_mask": [_HANDLE, _U32, _BUFFER, _SIZE],
    "mem3d_session_accept": [_HANDLE, _U32, _I32, _U32],
    "mem3d_session_propagate": [_HANDLE, _P(mem3d_propagate_options), _P(_U32)],
    "mem3d_session_cancel": [_HANDLE],
    "mem3d_session_read_quality": [_HANDLE, _U32, _I32, _BUFFER, _SIZE],
    "mem3d_session_suggest_slice": [_HANDLE, _U32, _P(mem3d_suggestion)],
    "mem3d_session_read_mask": [_HANDLE, _U32, _BUFFER, _SIZE],
    "mem3d_session_read_slice_mask": [_HANDLE, _U32, _I32, _U32, _BUFFER, _SIZE],
    "mem3d_session_read_probability": [_HANDLE, _U32, _BUFFER, _SIZE],
    "mem3d_session_read_labels": [_HANDLE, _BUFFER, _SIZE],
    "mem3d_session_get_segments": [_HANDLE, _BUFFER, _SIZE, _P(_SIZE)],
    "mem3d_session_get_annotated_slices": [_HANDLE, _U32, _I32, _BUFFER, _SIZE, _P(_SIZE)],
    "mem3d_session_get_window": [_HANDLE, _P(ctypes.c_double), _P(ctypes.c_double)],
    "mem3d_session_get_index": [_HANDLE, _BUFFER, _BUFFER],
    "mem3d_session_get_memory_usage": [_HANDLE, _P(mem3d_memory_usage)],
    "mem3d_session_undo": [_HANDLE, _P(ctypes.c_bool)],
    "mem3d_session_redo": [_HANDLE, _P(ctypes.c_bool)],
    "mem3d_session_reset": [_HANDLE, _U32],
    "mem3d_session_save": [_HANDLE, _TEXT],
    "mem3d_session_restore": [_HANDLE, _TEXT],
}
RESULTS = {
    "mem3d_last_error": _TEXT,
    "mem3d_version": _TEXT,
    "mem3d_abi_version": _U32,
    "mem3d_libtorch_version": _TEXT,
    "mem3d_model_free": None,
    "mem3d_session_free": None,
}


# Where libtorch may lie, from the library's folder: as one installs it by hand, beside a wheel, in the source tree.
_LIBTORCH = ("libtorch/lib", "../../torch/lib", "../../.libtorch/lib")


def load(path):
    """Opens the shared library. A DLL has no search path of its own, and Python leaves out PATH: on Windows, libtorch
    is searched where the library of another system would."""
    if sys.platform == "win32":
        folder = os.path.dirname(os.path.abspath(path))
        for place in _LIBTORCH:
            libtorch = os.path.normpath(os.path.join(folder, place))
            if os.path.isdir(libtorch):
                os.add_dll_directory(libtorch)
    return ctypes.CDLL(path)  # not PyDLL: that would hold the interpreter lock during a propagation


def listOf(get):
    """A list whose length may change between two calls; get(values, capacity, count) raises when it has no room."""
    count, values = ctypes.c_size_t(), (ctypes.c_uint32 * 64)()
    while True:
        try:
            get(values, len(values), ctypes.byref(count))
            return values[: count.value]
        except InvalidArgumentError:
            get(None, 0, ctypes.byref(count))
            if count.value <= len(values):
                raise
            values = (ctypes.c_uint32 * count.value)()


def text(raw):
    return raw.decode("utf-8", "replace")


def path(path):
    """A path for C; a name that is no text is passed as its bytes."""
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise InvalidArgumentError("path %r holds a NUL; no file has such a name" % (path,))
    return raw


def struct(structType, /, **fields):
    """A struct with its size and these fields set, all others zero."""
    value = structType(struct_size=ctypes.sizeof(structType))
    for name, field in fields.items():
        if name not in dict(structType._fields_):
            raise InvalidArgumentError("%s has no field %s" % (structType.__name__, name))
        setattr(value, name, field)
    return value
