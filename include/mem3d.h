/* SPDX-License-Identifier: Apache-2.0 */
/* Generated from src/ffi by tests/header.rs; see CONTRIBUTING.md. Do not edit. */
/**
 * @file mem3d.h
 * @brief Interactive 3D segmentation of medical volumes.
 *
 * Open a session on a volume, draw on any slice, propagate, look at the quality of every slice, correct the slice
 * that is suggested, propagate again. Not a medical device.
 *
 * Rules, for every function:
 *
 * - Handles are opaque. What `..._new`, `..._load` or `..._random` gives is freed by `..._free`, which takes NULL.
 * - A call that can fail returns a #mem3d_status. It changes nothing when it fails: neither the object nor what its
 *   output pointers point to. mem3d_last_error() has the text: what is wrong, and what to do.
 * - NULL is an error, #MEM3D_STATUS_INVALID_ARGUMENT, wherever the text does not allow it.
 * - Inputs are copied, or only read during the call. What is given out belongs to the caller, unless the text says
 *   "borrowed until".
 * - Strings are UTF-8 and end with NUL. Buffers are a pointer and a size, and belong to the caller; a size that is
 *   not the one needed is an error.
 * - Arrays are `[depth, height, width]` in C order. Points are continuous voxel indices in that order, voxel centres
 *   at integers. Spacing is in mm in that order; positions are LPS (left, posterior, superior).
 * - Structs that start with `struct_size` may grow in later versions. Zero them, then set `struct_size`; zero is the
 *   default of every field. An older program lacks the newest fields, which are then zero; a field that is newer than
 *   the library must be zero.
 * - Numbers from an enum are `int32_t` where they come in, and are checked.
 * - A function of the host (callback) is given next to its `user_data`. It must not throw, and must not jump out.
 * - A model may be used by any number of threads at once. A session may move between threads, but serves one call at
 *   a time: a second call, from another thread or from inside a callback, returns #MEM3D_STATUS_BUSY and does nothing.
 *   Only mem3d_session_cancel() may run beside another call. Freeing an object during a call on it is undefined.
 * - On the CPU with the same thread count, the same calls give the same bytes.
 *
 * A whole program (examples/c/hello.c):
 * @code{.c}
 * // A bright ball in a small volume: draw one stroke, propagate, ask for the slice to correct next.
 * // Usage: hello [MODEL.safetensors]; without a model, random weights show the calls (their masks mean nothing).
 * #include <mem3d.h>
 * #include <stdio.h>
 * #include <stdlib.h>
 *
 * #define CHECK(call)                                                 \
 *     do {                                                            \
 *         if ((call) != MEM3D_STATUS_OK) {                            \
 *             fprintf(stderr, "%s: %s\n", #call, mem3d_last_error()); \
 *             return EXIT_FAILURE;                                    \
 *         }                                                           \
 *     } while (0)
 *
 * enum { DEPTH = 12, HEIGHT = 48, WIDTH = 40 };
 * static int16_t voxels[DEPTH][HEIGHT][WIDTH];
 * static uint8_t mask[DEPTH][HEIGHT][WIDTH];
 *
 * static bool on_slice(const mem3d_progress *progress, void *user_data)
 * {
 *     (void)user_data;
 *     printf("\r%u of %u slices", (unsigned)progress->done, (unsigned)progress->total);
 *     return true; // false would stop
 * }
 *
 * int main(int argc, char **argv)
 * {
 *     for (int d = 0; d < DEPTH; d++)
 *         for (int h = 0; h < HEIGHT; h++)
 *             for (int w = 0; w < WIDTH; w++) {
 *                 int z = 3 * (d - 6), y = h - 24, x = w - 20;
 *                 voxels[d][h][w] = x * x + y * y + z * z < 144 ? 300 : 0;
 *             }
 *
 *     mem3d_model *model = NULL;
 *     if (argc > 1)
 *         CHECK(mem3d_model_load(argv[1], NULL, &model));
 *     else
 *         CHECK(mem3d_model_random(MEM3D_PRESET_COMPACT, 1, NULL, &model));
 *
 *     mem3d_volume_view volume = {0};
 *     volume.struct_size = sizeof volume;
 *     volume.scalar_type = MEM3D_SCALAR_TYPE_I16;
 *     volume.data = voxels;
 *     volume.shape[0] = DEPTH, volume.shape[1] = HEIGHT, volume.shape[2] = WIDTH;
 *     volume.spacing_mm[0] = 3.0, volume.spacing_mm[1] = 1.0, volume.spacing_mm[2] = 1.0;
 *     mem3d_session *session = NULL;
 *     CHECK(mem3d_session_new(model, &volume, NULL, &session));
 *
 *     const double stroke[] = {6, 18, 14, 6, 24, 20, 6, 30, 26}; // three points: depth, height, width
 *     mem3d_interaction scribble = {0};
 *     scribble.struct_size = sizeof scribble;
 *     scribble.segment = 1;
 *     scribble.axis = MEM3D_AXIS_DEPTH;
 *     scribble.slice = 6;
 *     scribble.kind = MEM3D_INTERACTION_KIND_SCRIBBLE;
 *     scribble.points = stroke;
 *     scribble.n_points = 3;
 *     CHECK(mem3d_session_interact(session, &scribble, NULL, 0));
 *
 *     mem3d_propagate_options options = {0};
 *     options.struct_size = sizeof options;
 *     options.on_slice = on_slice;
 *     uint32_t updated = 0;
 *     CHECK(mem3d_session_propagate(session, &options, &updated));
 *     CHECK(mem3d_session_read_mask(session, 1, &mask[0][0][0], sizeof mask));
 *
 *     mem3d_suggestion next = {0};
 *     next.struct_size = sizeof next;
 *     CHECK(mem3d_session_suggest_slice(session, 1, &next));
 *     printf("\n%u slices updated; correct slice %u next\n", (unsigned)updated, (unsigned)next.slice);
 *
 *     mem3d_session_free(session);
 *     mem3d_model_free(model);
 *     return EXIT_SUCCESS;
 * }
 * @endcode
 */

#ifndef MEM3D_H
#define MEM3D_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/** Version of this header; mem3d_version() is that of the library. */
#define MEM3D_VERSION "0.1.0"
#define MEM3D_VERSION_MAJOR 0
#define MEM3D_VERSION_MINOR 1
#define MEM3D_VERSION_PATCH 0

#if defined(MEM3D_NO_IMPORT)
#define MEM3D_API
#elif defined(_WIN32)
#define MEM3D_API __declspec(dllimport)
#elif defined(__GNUC__)
#define MEM3D_API __attribute__((visibility("default")))
#else
#define MEM3D_API
#endif

/**
 * Grows when a program compiled against an older header would no longer work; also the number in the SONAME.
 */
#define MEM3D_ABI_VERSION 1

/**
 * How a call ended. Values are never reused.
 *
 * The text for the last failure on this thread is mem3d_last_error().
 */
enum mem3d_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Done.
     */
    MEM3D_STATUS_OK = 0,
    /**
     * An argument is outside what the call accepts; nothing was changed.
     */
    MEM3D_STATUS_INVALID_ARGUMENT = 1,
    /**
     * Not possible in the present state of the object; nothing was changed.
     */
    MEM3D_STATUS_INVALID_STATE = 2,
    /**
     * The object is serving another call; nothing was changed.
     */
    MEM3D_STATUS_BUSY = 3,
    /**
     * Stopped by the caller; nothing was changed.
     */
    MEM3D_STATUS_CANCELLED = 4,
    /**
     * A file could not be read or written, or does not hold what it should.
     */
    MEM3D_STATUS_IO = 5,
    /**
     * A model file cannot be used.
     */
    MEM3D_STATUS_BAD_MODEL = 6,
    /**
     * Something this build, machine or model does not offer.
     */
    MEM3D_STATUS_UNSUPPORTED = 7,
    /**
     * Not enough memory on the host or the device; nothing was changed.
     */
    MEM3D_STATUS_OUT_OF_MEMORY = 8,
    /**
     * libtorch failed; nothing was changed.
     */
    MEM3D_STATUS_TORCH = 9,
    /**
     * A bug of mem3d. Please report the text of mem3d_last_error().
     */
    MEM3D_STATUS_INTERNAL = 99,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mem3d_status mem3d_status;
#else
typedef int32_t mem3d_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How much a message matters.
 */
enum mem3d_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Something failed.
     */
    MEM3D_LOG_LEVEL_ERROR = 1,
    /**
     * Something works less well than it could.
     */
    MEM3D_LOG_LEVEL_WARN = 2,
    /**
     * What a user may want to know.
     */
    MEM3D_LOG_LEVEL_INFO = 3,
    /**
     * What a developer of a host may want to know.
     */
    MEM3D_LOG_LEVEL_DEBUG = 4,
    /**
     * Everything.
     */
    MEM3D_LOG_LEVEL_TRACE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mem3d_log_level mem3d_log_level;
#else
typedef int32_t mem3d_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Families of networks, for #mem3d_model_info::preset and mem3d_model_random().
 */
enum mem3d_preset
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Small networks with mask-free keys; the default.
     */
    MEM3D_PRESET_COMPACT = 0,
    /**
     * The networks of the paper: two ResNet-50 encoders, one interaction network a kind.
     */
    MEM3D_PRESET_PAPER = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mem3d_preset mem3d_preset;
#else
typedef int32_t mem3d_preset;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Number formats of the networks' arithmetic, for #mem3d_model_options::precision.
 */
enum mem3d_precision
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * float32.
     */
    MEM3D_PRECISION_AUTO = 0,
    /**
     * float32; convolutions on CUDA may round their factors to ten bits (TF32).
     */
    MEM3D_PRECISION_F32 = 1,
    /**
     * bfloat16, with float32 where it matters.
     */
    MEM3D_PRECISION_BF16 = 2,
    /**
     * float16, with float32 where it matters.
     */
    MEM3D_PRECISION_F16 = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mem3d_precision mem3d_precision;
#else
typedef int32_t mem3d_precision;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Types of a voxel, for #mem3d_volume_view::scalar_type.
 */
enum mem3d_scalar_type
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * uint8_t.
     */
    MEM3D_SCALAR_TYPE_U8 = 1,
    /**
     * int8_t.
     */
    MEM3D_SCALAR_TYPE_I8 = 2,
    /**
     * uint16_t.
     */
    MEM3D_SCALAR_TYPE_U16 = 3,
    /**
     * int16_t.
     */
    MEM3D_SCALAR_TYPE_I16 = 4,
    /**
     * uint32_t.
     */
    MEM3D_SCALAR_TYPE_U32 = 5,
    /**
     * int32_t.
     */
    MEM3D_SCALAR_TYPE_I32 = 6,
    /**
     * float.
     */
    MEM3D_SCALAR_TYPE_F32 = 7,
    /**
     * double.
     */
    MEM3D_SCALAR_TYPE_F64 = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mem3d_scalar_type mem3d_scalar_type;
#else
typedef int32_t mem3d_scalar_type;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Axes of an array, for every parameter and field called `axis`. A slice cut along an axis has the two others, in
 * order, as its rows and columns.
 */
enum mem3d_axis
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Slices of height x width (axial in a volume in standard orientation).
     */
    MEM3D_AXIS_DEPTH = 0,
    /**
     * Slices of depth x width.
     */
    MEM3D_AXIS_HEIGHT = 1,
    /**
     * Slices of depth x height.
     */
    MEM3D_AXIS_WIDTH = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mem3d_axis mem3d_axis;
#else
typedef int32_t mem3d_axis;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a user can draw, for #mem3d_interaction::kind.
 */
enum mem3d_interaction_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * A free stroke: the line through the points, or the pixels of a raster.
     */
    MEM3D_INTERACTION_KIND_SCRIBBLE = 0,
    /**
     * A rectangle around the target: two opposite corners.
     */
    MEM3D_INTERACTION_KIND_BOX = 1,
    /**
     * The outermost points of the target: four or more.
     */
    MEM3D_INTERACTION_KIND_EXTREME_POINTS = 2,
    /**
     * Single points: one or more.
     */
    MEM3D_INTERACTION_KIND_CLICK = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mem3d_interaction_kind mem3d_interaction_kind;
#else
typedef int32_t mem3d_interaction_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Which sides of the annotated slices are segmented, for #mem3d_propagate_options::direction.
 */
enum mem3d_direction
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Towards higher and lower slice numbers.
     */
    MEM3D_DIRECTION_BOTH = 0,
    /**
     * Towards higher slice numbers only.
     */
    MEM3D_DIRECTION_UP = 1,
    /**
     * Towards lower slice numbers only.
     */
    MEM3D_DIRECTION_DOWN = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum mem3d_direction mem3d_direction;
#else
typedef int32_t mem3d_direction;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The networks of one model file on one device. Never changes, so any number of sessions and threads may share it.
 */
typedef struct mem3d_model mem3d_model;

/**
 * One user's work on one volume: its copy, segments, masks and rounds. May move between threads, and serves one
 * call at a time.
 */
typedef struct mem3d_session mem3d_session;

/**
 * Receives one message. `level` is a #mem3d_log_level; `message` is UTF-8, borrowed until the function returns.
 *
 * May be called from several threads at once. Must not throw, and must not call mem3d_set_log_callback().
 */
typedef void (*mem3d_log_fn)(int32_t level, const char *message, void *user_data);

/**
 * A device that networks can run on. Grows; set `struct_size` before the call.
 */
typedef struct mem3d_device_info {
    /**
     * `sizeof(mem3d_device_info)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * What #mem3d_model_options::device takes: "cpu", "cuda:0", ... UTF-8, ends with NUL.
     */
    char id[32];
    /**
     * What the hardware calls itself. UTF-8, ends with NUL, cut if longer.
     */
    char name[128];
    /**
     * Memory in all, bytes; 0 when unknown.
     */
    uint64_t memory_total_bytes;
    /**
     * Memory free now, bytes; 0 when unknown.
     */
    uint64_t memory_free_bytes;
} mem3d_device_info;

/**
 * How to load a model. Grows; zero it, then set `struct_size`. Zero is the default of every field.
 */
typedef struct mem3d_model_options {
    /**
     * `sizeof(mem3d_model_options)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * A #mem3d_precision.
     */
    int32_t precision;
    /**
     * "auto" (CUDA when there is one, else the CPU), "cpu", "cuda" or "cuda:N"; NULL for "auto". UTF-8.
     */
    const char *device;
} mem3d_model_options;

/**
 * What a model says of itself. Grows; set `struct_size` before the call. The texts are UTF-8, never NULL, and
 * borrowed until the model is freed.
 */
typedef struct mem3d_model_info {
    /**
     * `sizeof(mem3d_model_info)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * A #mem3d_preset.
     */
    int32_t preset;
    /**
     * Name of the model.
     */
    const char *name;
    /**
     * Where the weights come from.
     */
    const char *provenance;
    /**
     * Licence of the weights.
     */
    const char *licence;
    /**
     * SHA-256 of the model file, lower-case hexadecimal.
     */
    const char *checksum;
    /**
     * Device of the weights: "cpu", "cuda:0", ...
     */
    const char *device;
    /**
     * Kinds of interaction the model answers: bit `1 << kind` for each #mem3d_interaction_kind.
     */
    uint32_t interaction_kinds;
    /**
     * Side of the network's input for a region of interest, pixels.
     */
    uint32_t network_size;
    /**
     * Side of the network's input for a whole slice, pixels.
     */
    uint32_t slice_size;
    /**
     * Neighbouring slices given to the network with each slice, 1 or 3.
     */
    uint32_t context_slices;
    /**
     * Channels of the keys of the memory.
     */
    uint32_t key_channels;
    /**
     * Channels of the values of the memory.
     */
    uint32_t value_channels;
    /**
     * Stride of keys and values, pixels.
     */
    uint32_t key_stride;
    /**
     * 0.
     */
    uint32_t reserved;
} mem3d_model_info;

/**
 * A volume in the host's memory, `[depth, height, width]`. Grows; zero it, then set `struct_size`.
 */
typedef struct mem3d_volume_view {
    /**
     * `sizeof(mem3d_volume_view)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * A #mem3d_scalar_type.
     */
    int32_t scalar_type;
    /**
     * Voxel [0, 0, 0]; need not be aligned. Only read during the call, never changed.
     */
    const void *data;
    /**
     * Number of voxels along each axis, `[depth, height, width]`.
     */
    int64_t shape[3];
    /**
     * Bytes from a voxel to the next along each axis; may be negative. All 0 for C order without gaps.
     */
    int64_t byte_strides[3];
    /**
     * Distance of neighbouring voxels along each axis, mm. All 0 for 1 mm.
     */
    double spacing_mm[3];
    /**
     * Position of voxel [0, 0, 0], mm, as left, posterior, superior (LPS).
     */
    double origin_mm[3];
    /**
     * For each axis, the unit vector in LPS in which its index grows: depth, then height, then width. All 0 for
     * width to the left, height to the back, depth upwards.
     */
    double direction[9];
} mem3d_volume_view;

/**
 * Options of a session, fixed for its life. Grows; zero it, then set `struct_size`. Zero is the default of every
 * field.
 */
typedef struct mem3d_session_options {
    /**
     * `sizeof(mem3d_session_options)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * Voxels that are NaN or infinite: 0 to refuse the volume, 1 to take them as the window's lower end.
     */
    uint32_t replace_non_finite;
    /**
     * Intensity mapped to 0. Both ends 0: the 0.5th and 99.5th percentile of the volume.
     */
    double window_low;
    /**
     * Intensity mapped to 1.
     */
    double window_high;
    /**
     * Every how many slices one stays in memory during a propagation. 0 for 5, -1 to keep none.
     */
    int32_t memorize_every;
    /**
     * Most slices in memory besides the annotated ones and the previous one. 0 for 4, -1 for none.
     */
    int32_t max_memory_slices;
    /**
     * A propagation ends after this many slices without target in a row. 0 for 3, -1 to never end early.
     */
    int32_t stop_after_empty;
    /**
     * Masks with fewer pixels than this are taken as empty. 0 for 4, -1 to keep all.
     */
    int32_t min_area;
    /**
     * A slice whose largest probability is below this holds no target. 0 for 0.5, -1 for no such test.
     */
    double presence_probability;
    /**
     * A slice whose mask is smaller than this fraction of its neighbour's holds no target. 0 for 0.02, -1 for no
     * such test.
     */
    double presence_area_fraction;
    /**
     * Side of the region of interest over the side of the target. 0 for 1.6.
     */
    double roi_scale;
    /**
     * 1: work on the whole slice, as in the paper, instead of a region of interest.
     */
    uint32_t whole_slice;
    /**
     * Steps that can be undone. 0 for 50, -1 for none.
     */
    int32_t undo_depth;
    /**
     * Most memory for features kept per slice, bytes. 0 for 400 MB.
     */
    uint64_t feature_cache_bytes;
    /**
     * A slice that the quality head says holds the target with a lower probability than this counts as empty, unless an
     * annotated slice with the target lies ahead. 0 for 0.8, -1 for no such test.
     */
    double least_presence;
    /**
     * Memory on a CUDA device: 0 to give it back to the device when the session is freed, 1 to leave it in libtorch's cache,
     * from which the next session of this process takes it at once.
     */
    uint32_t keep_cuda_cache;
    /**
     * 1: carried masks stay as the networks give them; 0: they are put right in three dimensions, held against the image, the slices
     * on both sides and what the annotated masks alone would leave there.
     */
    uint32_t no_regularisation;
} mem3d_session_options;

/**
 * One thing drawn on one slice, given by points or by a raster. Grows; zero it, then set `struct_size`.
 */
typedef struct mem3d_interaction {
    /**
     * `sizeof(mem3d_interaction)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * Segment it is drawn for, 1 to 65535.
     */
    uint32_t segment;
    /**
     * A #mem3d_axis: the one the slice is cut along.
     */
    int32_t axis;
    /**
     * Slice number along `axis`.
     */
    uint32_t slice;
    /**
     * A #mem3d_interaction_kind.
     */
    int32_t kind;
    /**
     * 0: drawn inside the target (positive). 1: outside of it (negative).
     */
    int32_t negative;
    /**
     * `n_points` points of three doubles: continuous voxel indices `[depth, height, width]` on the slice, voxel
     * centres at integers. NULL when a raster is given. Only read during the call.
     */
    const double *points;
    /**
     * Number of points.
     */
    size_t n_points;
    /**
     * Half the width of a scribble given by points, mm; 0 for one and a half pixels.
     */
    double radius_mm;
    /**
     * For a scribble, instead of points: one byte a pixel of the slice, not 0 where the brush was. Only read during
     * the call.
     */
    const uint8_t *raster;
    /**
     * Bytes from a pixel of the raster to the next along rows and columns; both 0 for row after row without gaps.
     */
    int64_t raster_byte_strides[2];
} mem3d_interaction;

/**
 * How far a propagation is. Filled by the library, never grows.
 */
typedef struct mem3d_progress {
    /**
     * Slices done so far.
     */
    uint32_t done;
    /**
     * Slices to do at most; fewer are done where the target ends early.
     */
    uint32_t total;
    /**
     * The slice just segmented.
     */
    uint32_t slice;
    /**
     * The segment it was segmented for.
     */
    uint32_t segment;
} mem3d_progress;

/**
 * Told after every slice of a propagation. Return true to go on, false to stop: the call then returns
 * #MEM3D_STATUS_CANCELLED and has changed nothing.
 *
 * Runs on the thread that called, never after the call returned. Must not throw. Calls on the same session from
 * here return #MEM3D_STATUS_BUSY, but for mem3d_session_cancel().
 */
typedef bool (*mem3d_progress_fn)(const struct mem3d_progress *progress, void *user_data);

/**
 * What a propagation does. Grows; zero it, then set `struct_size`. Zero is the default of every field.
 */
typedef struct mem3d_propagate_options {
    /**
     * `sizeof(mem3d_propagate_options)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * Segment to carry through the volume; 0 for every segment with an annotated slice along the axis.
     */
    uint32_t segment;
    /**
     * A #mem3d_axis plus one: the axis to propagate along. 0 for the axis last drawn on.
     */
    int32_t axis_plus_one;
    /**
     * A #mem3d_direction.
     */
    int32_t direction;
    /**
     * First slice that may be changed.
     */
    uint32_t first_slice;
    /**
     * Number of slices from there that may be changed; 0 for all up to the last.
     */
    uint32_t n_slices;
    /**
     * Told after every slice; NULL for no reports.
     */
    mem3d_progress_fn on_slice;
    /**
     * Given to `on_slice` as it is.
     */
    void *user_data;
} mem3d_propagate_options;

/**
 * The slice that most deserves the user's next correction. Grows; set `struct_size` before the call.
 */
typedef struct mem3d_suggestion {
    /**
     * `sizeof(mem3d_suggestion)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * 1 when there is a suggestion; 0 when every slice is annotated or nothing was propagated, and all else is 0.
     */
    uint32_t found;
    /**
     * Segment to correct.
     */
    uint32_t segment;
    /**
     * A #mem3d_axis: the one the slice is cut along.
     */
    int32_t axis;
    /**
     * Slice number along `axis`.
     */
    uint32_t slice;
    /**
     * Estimated quality of its mask, 0..1.
     */
    float quality;
    /**
     * What a correction there is expected to gain for the volume, voxels.
     */
    float gain;
    /**
     * 0.
     */
    uint32_t reserved;
} mem3d_suggestion;

/**
 * Memory held by a session, bytes. Grows; set `struct_size` before the call.
 */
typedef struct mem3d_memory_usage {
    /**
     * `sizeof(mem3d_memory_usage)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * The copy of the volume.
     */
    uint64_t volume_bytes;
    /**
     * Masks and probabilities of all segments, undo steps included.
     */
    uint64_t masks_bytes;
    /**
     * Features kept per slice.
     */
    uint64_t features_bytes;
} mem3d_memory_usage;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* ---- status ---- */

/**
 * The text of the last failure on the calling thread: what is wrong and what to do about it.
 *
 * A call that succeeds leaves it as it is, so look at it only after a call that failed.
 *
 * @return UTF-8, never NULL; "" when no call has failed on this thread. Borrowed until the next call
 *         on the same thread that fails, or until the thread ends.
 */
MEM3D_API const char *mem3d_last_error(void);

/* ---- version ---- */

/**
 * Version of the library, e.g. "0.1.0".
 *
 * @return UTF-8, never NULL. Lives as long as the library.
 */
MEM3D_API const char *mem3d_version(void);

/**
 * ABI version of the library. Compare with #MEM3D_ABI_VERSION when loading it at run time.
 *
 * @return #MEM3D_ABI_VERSION of the header that the library was built with.
 */
MEM3D_API uint32_t mem3d_abi_version(void);

/**
 * Version of libtorch that the library was built for, e.g. "2.11.0".
 *
 * @return UTF-8, never NULL. Lives as long as the library.
 */
MEM3D_API const char *mem3d_libtorch_version(void);

/* ---- log ---- */

/**
 * Sends the library's messages to a function of the host. Without one they are dropped; nothing is ever printed.
 *
 * When the call returns, the function set before is not running any more and will not be called again.
 *
 * @param on_message  Called for every message; NULL for none.
 * @param user_data   Given to `on_message` as it is; must live until another function is set.
 * @param max_level   A #mem3d_log_level: the least important one wanted. 0 for #MEM3D_LOG_LEVEL_INFO.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT (unknown level), #MEM3D_STATUS_INVALID_STATE (the program
 *         has a Rust logger of its own) or #MEM3D_STATUS_BUSY (called from `on_message`).
 * @pre `on_message` may be called from any thread with `user_data`.
 */
MEM3D_API
mem3d_status mem3d_set_log_callback(mem3d_log_fn on_message,
                                    void *user_data,
                                    int32_t max_level);

/* ---- device ---- */

/**
 * Counts the devices that can be used now. The CPU is always the first.
 *
 * @param[out] count  Number of devices, at least 1.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT or #MEM3D_STATUS_INTERNAL.
 * @pre `count` is NULL or writable.
 */
MEM3D_API mem3d_status mem3d_device_count(uint32_t *count);

/**
 * Describes one device.
 *
 * @param index      0 to mem3d_device_count() - 1.
 * @param[out] info  Filled as far as its `struct_size` reaches.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT or #MEM3D_STATUS_INTERNAL.
 * @pre `info` is NULL or as long as it says.
 */
MEM3D_API mem3d_status mem3d_device_get_info(uint32_t index, struct mem3d_device_info *info);

/**
 * Sets how many CPU threads one call may use, for every session and thread of the process.
 *
 * They are libtorch's, and as many of mem3d's own, which sessions share.
 *
 * With the same number, the same calls give the same bytes on the CPU.
 *
 * @param count  1 to 1024; 0 for the default (one a core).
 * @return #MEM3D_STATUS_OK or #MEM3D_STATUS_INVALID_ARGUMENT.
 */
MEM3D_API mem3d_status mem3d_set_thread_count(uint32_t count);

/**
 * Says how many CPU threads one call may use.
 *
 * @param[out] count  At least 1.
 * @return #MEM3D_STATUS_OK or #MEM3D_STATUS_INVALID_ARGUMENT.
 * @pre `count` is NULL or writable.
 */
MEM3D_API mem3d_status mem3d_thread_count(uint32_t *count);

/* ---- model ---- */

/**
 * Loads a model file.
 *
 * @param path        A `.safetensors` file of mem3d. UTF-8.
 * @param options     Device and precision; NULL for the defaults. Only read during the call.
 * @param[out] model  Free with mem3d_model_free(). Unchanged on failure.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_IO, #MEM3D_STATUS_BAD_MODEL,
 *         #MEM3D_STATUS_UNSUPPORTED (device or precision), #MEM3D_STATUS_OUT_OF_MEMORY, #MEM3D_STATUS_TORCH or
 *         #MEM3D_STATUS_INTERNAL.
 * @pre `path` is NULL or ends with NUL; `options` is NULL or as long as it says; `model` is NULL or writable.
 */
MEM3D_API
mem3d_status mem3d_model_load(const char *path,
                              const struct mem3d_model_options *options,
                              struct mem3d_model **model);

/**
 * Makes a model with random weights. Its masks mean nothing: it is for tests of hosts and measurements of speed.
 *
 * @param preset      A #mem3d_preset.
 * @param seed        The same seed gives the same weights.
 * @param options     Device and precision; NULL for the defaults. Only read during the call.
 * @param[out] model  Free with mem3d_model_free(). Unchanged on failure.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_UNSUPPORTED (device or precision),
 *         #MEM3D_STATUS_OUT_OF_MEMORY, #MEM3D_STATUS_TORCH or #MEM3D_STATUS_INTERNAL.
 * @pre `options` is NULL or as long as it says; `model` is NULL or writable.
 */
MEM3D_API
mem3d_status mem3d_model_random(int32_t preset,
                                int64_t seed,
                                const struct mem3d_model_options *options,
                                struct mem3d_model **model);

/**
 * Says what a model is.
 *
 * @param model      From mem3d_model_load() or mem3d_model_random().
 * @param[out] info  Filled as far as its `struct_size` reaches. Unchanged on failure.
 * @return #MEM3D_STATUS_OK or #MEM3D_STATUS_INVALID_ARGUMENT.
 * @pre `model` is NULL or live; `info` is NULL or as long as it says.
 */
MEM3D_API mem3d_status mem3d_model_get_info(const struct mem3d_model *model, struct mem3d_model_info *info);

/**
 * Frees a model. Sessions made with it keep what they need, so it may be freed before them.
 *
 * @param model  May be NULL.
 * @pre `model` is NULL or live, and no other call is using it.
 */
MEM3D_API void mem3d_model_free(struct mem3d_model *model);

/* ---- session ---- */

/**
 * Opens a session on a volume. The volume is copied, so the host may free or change its own.
 *
 * @param model         Shared; may be freed before the session.
 * @param volume        The voxels and where they lie. Only read during the call.
 * @param options       NULL for the defaults. Only read during the call.
 * @param[out] session  Free with mem3d_session_free(). Unchanged on failure.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_OUT_OF_MEMORY, #MEM3D_STATUS_TORCH or
 *         #MEM3D_STATUS_INTERNAL.
 * @pre `model` is NULL or live; `volume` is NULL or as long as it says, and its data is readable as far as its
 *      shape and strides reach; `options` is NULL or as long as it says; `session` is NULL or writable.
 */
MEM3D_API
mem3d_status mem3d_session_new(const struct mem3d_model *model,
                               const struct mem3d_volume_view *volume,
                               const struct mem3d_session_options *options,
                               struct mem3d_session **session);

/**
 * Frees a session and everything it holds.
 *
 * @param session  May be NULL.
 * @pre `session` is NULL or live, and no other call is using it: freeing it during a call, or inside a callback of
 *      that call, is undefined.
 */
MEM3D_API
void mem3d_session_free(struct mem3d_session *session);

/**
 * Draws on a slice and gives that slice's new mask at once. Interactions on one slice add up until it is accepted.
 *
 * @param session      From mem3d_session_new().
 * @param interaction  What was drawn. Only read during the call.
 * @param[out] mask    Row-major, one byte a pixel: 1 inside, 0 outside. Unchanged on failure. May be NULL.
 * @param mask_size    Bytes of `mask`: rows times columns of the slice. Ignored when `mask` is NULL.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY,
 *         #MEM3D_STATUS_UNSUPPORTED (a kind of interaction that the model does not answer),
 *         #MEM3D_STATUS_BAD_MODEL (its networks do not answer with numbers), #MEM3D_STATUS_OUT_OF_MEMORY, #MEM3D_STATUS_TORCH or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `interaction` is NULL or as long as it says, with points or raster readable as
 *      far as it says; `mask` is NULL or writable for `mask_size` bytes.
 */
MEM3D_API
mem3d_status mem3d_session_interact(struct mem3d_session *session,
                                    const struct mem3d_interaction *interaction,
                                    uint8_t *mask,
                                    size_t mask_size);

/**
 * Replaces a slice's mask by one that the user corrected by hand. The slice is annotated: no propagation changes it.
 *
 * @param session    From mem3d_session_new().
 * @param segment    1 to 65535.
 * @param axis       A #mem3d_axis: the one the slice is cut along.
 * @param slice      Slice number along `axis`.
 * @param mask       Row-major, one byte a pixel: 0 outside, anything else inside. Copied.
 * @param mask_size  Bytes of `mask`: rows times columns of the slice.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY,
 *         #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `mask` is NULL or readable for `mask_size` bytes.
 */
MEM3D_API
mem3d_status mem3d_session_set_slice_mask(struct mem3d_session *session,
                                          uint32_t segment,
                                          int32_t axis,
                                          uint32_t slice,
                                          const uint8_t *mask,
                                          size_t mask_size);

/**
 * Takes a mask of the whole volume as starting point, for example an earlier segmentation. No slice is annotated.
 *
 * @param session    From mem3d_session_new().
 * @param segment    1 to 65535.
 * @param mask       `[depth, height, width]` in C order, one byte a voxel: 0 outside, anything else inside. Copied.
 * @param mask_size  Bytes of `mask`: depth times height times width.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY,
 *         #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `mask` is NULL or readable for `mask_size` bytes.
 */
MEM3D_API
mem3d_status mem3d_session_set_mask(struct mem3d_session *session,
                                    uint32_t segment,
                                    const uint8_t *mask,
                                    size_t mask_size);

/**
 * Accepts a slice's mask as it is: the slice becomes annotated, and no propagation changes it any more.
 *
 * @param session  From mem3d_session_new().
 * @param segment  1 to 65535.
 * @param axis     A #mem3d_axis: the one the slice is cut along.
 * @param slice    Slice number along `axis`.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY or
 *         #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live.
 */
MEM3D_API
mem3d_status mem3d_session_accept(struct mem3d_session *session,
                                  uint32_t segment,
                                  int32_t axis,
                                  uint32_t slice);

/**
 * Carries the masks of the annotated slices through the volume. What was drawn and not accepted yet is accepted.
 *
 * Blocks until done; call it from a thread of the host's own to keep a user interface alive. A call that fails or
 * is cancelled leaves the session as it was.
 *
 * @param session       From mem3d_session_new().
 * @param options       What to do, and whom to tell; NULL for the defaults. Only read during the call.
 * @param[out] updated  Number of slice masks that were replaced. Unchanged on failure. May be NULL.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE (nothing was drawn),
 *         #MEM3D_STATUS_BUSY, #MEM3D_STATUS_CANCELLED, #MEM3D_STATUS_BAD_MODEL (the model's networks do not answer
 *         with numbers), #MEM3D_STATUS_OUT_OF_MEMORY, #MEM3D_STATUS_TORCH or
 *         #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `options` is NULL or as long as it says, and its function may be called with its
 *      `user_data`; `updated` is NULL or writable.
 */
MEM3D_API
mem3d_status mem3d_session_propagate(struct mem3d_session *session,
                                     const struct mem3d_propagate_options *options,
                                     uint32_t *updated);

/**
 * Asks the propagation that is running to stop before its next slice. The only call that may run beside another one
 * on the same session, and from inside its callback. Without a running propagation it does nothing.
 *
 * @param session  From mem3d_session_new().
 * @return #MEM3D_STATUS_OK or #MEM3D_STATUS_INVALID_ARGUMENT.
 * @pre `session` is NULL or live during the call.
 */
MEM3D_API
mem3d_status mem3d_session_cancel(const struct mem3d_session *session);

/**
 * Takes back the last step: an interaction, a correction, an acceptance, a propagation or a reset.
 *
 * @param session       From mem3d_session_new().
 * @param[out] changed  Whether there was a step to take back. Unchanged on failure. May be NULL.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY or
 *         #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `changed` is NULL or writable.
 */
MEM3D_API
mem3d_status mem3d_session_undo(struct mem3d_session *session,
                                bool *changed);

/**
 * Does again what mem3d_session_undo() took back.
 *
 * @param session       From mem3d_session_new().
 * @param[out] changed  Whether there was a step to do again. Unchanged on failure. May be NULL.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY or
 *         #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `changed` is NULL or writable.
 */
MEM3D_API
mem3d_status mem3d_session_redo(struct mem3d_session *session,
                                bool *changed);

/**
 * Forgets a segment's masks and interactions. Can be undone.
 *
 * @param session  From mem3d_session_new().
 * @param segment  1 to 65535, or 0 for all segments.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY or
 *         #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live.
 */
MEM3D_API
mem3d_status mem3d_session_reset(struct mem3d_session *session,
                                 uint32_t segment);

/**
 * Lists the segments that have any mask or interaction, ascending.
 *
 * @param session        From mem3d_session_new().
 * @param[out] segments  Filled with segment numbers; NULL to ask for their number only. Unchanged on failure.
 * @param capacity       Values that `segments` has room for. Ignored when it is NULL.
 * @param[out] count     Number of segments. Unchanged on failure.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT (too little room, too), #MEM3D_STATUS_BUSY or
 *         #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `segments` is NULL or writable for `capacity` values; `count` is NULL or writable.
 */
MEM3D_API
mem3d_status mem3d_session_segments(const struct mem3d_session *session,
                                    uint32_t *segments,
                                    size_t capacity,
                                    size_t *count);

/**
 * Lists the annotated slices of a segment, ascending: those that no propagation changes.
 *
 * @param session      From mem3d_session_new().
 * @param segment      1 to 65535.
 * @param axis         A #mem3d_axis: the one the slices are cut along.
 * @param[out] slices  Filled with slice numbers; NULL to ask for their number only. Unchanged on failure.
 * @param capacity     Values that `slices` has room for. Ignored when it is NULL.
 * @param[out] count   Number of annotated slices. Unchanged on failure.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT (too little room, too), #MEM3D_STATUS_BUSY or
 *         #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `slices` is NULL or writable for `capacity` values; `count` is NULL or writable.
 */
MEM3D_API
mem3d_status mem3d_session_annotated(const struct mem3d_session *session,
                                     uint32_t segment,
                                     int32_t axis,
                                     uint32_t *slices,
                                     size_t capacity,
                                     size_t *count);

/**
 * Estimates the quality of a segment's mask on every slice along an axis.
 *
 * @param session       From mem3d_session_new().
 * @param segment       1 to 65535.
 * @param axis          A #mem3d_axis: the one the slices are cut along.
 * @param[out] quality  One value a slice, 0..1: 1 where annotated, 0 where nothing is known. Unchanged on failure.
 * @param n_slices      Values of `quality`: the number of slices along `axis`.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `quality` is NULL or writable for `n_slices` values.
 */
MEM3D_API
mem3d_status mem3d_session_quality(const struct mem3d_session *session,
                                   uint32_t segment,
                                   int32_t axis,
                                   float *quality,
                                   size_t n_slices);

/**
 * Suggests the slice whose correction is expected to gain most. Annotated slices are never suggested.
 *
 * @param session          From mem3d_session_new().
 * @param segment          1 to 65535, or 0 for the best over all segments.
 * @param[out] suggestion  Filled as far as its `struct_size` reaches. Unchanged on failure.
 * @return #MEM3D_STATUS_OK (also when there is none: see #mem3d_suggestion::found), #MEM3D_STATUS_INVALID_ARGUMENT,
 *         #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `suggestion` is NULL or as long as it says.
 */
MEM3D_API
mem3d_status mem3d_session_suggest_slice(const struct mem3d_session *session,
                                         uint32_t segment,
                                         struct mem3d_suggestion *suggestion);

/**
 * Reads a segment's mask.
 *
 * @param session    From mem3d_session_new().
 * @param segment    1 to 65535.
 * @param[out] mask  `[depth, height, width]` in C order, one byte a voxel: 1 inside, 0 outside. Unchanged on failure.
 * @param mask_size  Bytes of `mask`: depth times height times width.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `mask` is NULL or writable for `mask_size` bytes.
 */
MEM3D_API
mem3d_status mem3d_session_read_mask(const struct mem3d_session *session,
                                     uint32_t segment,
                                     uint8_t *mask,
                                     size_t mask_size);

/**
 * Reads a segment's mask on one slice.
 *
 * @param session    From mem3d_session_new().
 * @param segment    1 to 65535.
 * @param axis       A #mem3d_axis: the one the slice is cut along.
 * @param slice      Slice number along `axis`.
 * @param[out] mask  Row-major, one byte a pixel: 1 inside, 0 outside. Unchanged on failure.
 * @param mask_size  Bytes of `mask`: rows times columns of the slice.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `mask` is NULL or writable for `mask_size` bytes.
 */
MEM3D_API
mem3d_status mem3d_session_read_slice_mask(const struct mem3d_session *session,
                                           uint32_t segment,
                                           int32_t axis,
                                           uint32_t slice,
                                           uint8_t *mask,
                                           size_t mask_size);

/**
 * Reads the probability that a voxel belongs to a segment.
 *
 * @param session           From mem3d_session_new().
 * @param segment           1 to 65535.
 * @param[out] probability  `[depth, height, width]` in C order, 0..1. Unchanged on failure.
 * @param n_voxels          Values of `probability`: depth times height times width.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `probability` is NULL or writable for `n_voxels` values.
 */
MEM3D_API
mem3d_status mem3d_session_read_probability(const struct mem3d_session *session,
                                            uint32_t segment,
                                            float *probability,
                                            size_t n_voxels);

/**
 * Reads all segments as one volume of labels. Where several overlap, the most probable wins.
 *
 * @param session      From mem3d_session_new().
 * @param[out] labels  `[depth, height, width]` in C order: segment numbers, 0 outside of all. Unchanged on failure.
 * @param n_voxels     Values of `labels`: depth times height times width.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `labels` is NULL or writable for `n_voxels` values.
 */
MEM3D_API
mem3d_status mem3d_session_read_labels(const struct mem3d_session *session,
                                       uint16_t *labels,
                                       size_t n_voxels);

/**
 * Says which intensities the networks see as 0 and 1.
 *
 * @param session    From mem3d_session_new().
 * @param[out] low   In the volume's units. Unchanged on failure.
 * @param[out] high  In the volume's units. Unchanged on failure.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `low` and `high` are NULL or writable.
 */
MEM3D_API mem3d_status mem3d_session_window(const struct mem3d_session *session, double *low, double *high);

/**
 * Says how much memory a session holds.
 *
 * @param session     From mem3d_session_new().
 * @param[out] usage  Filled as far as its `struct_size` reaches. Unchanged on failure.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `usage` is NULL or as long as it says.
 */
MEM3D_API
mem3d_status mem3d_session_memory_usage(const struct mem3d_session *session,
                                        struct mem3d_memory_usage *usage);

/**
 * Saves a session's interactions, masks, qualities and undo steps, but not the volume. The file appears whole or
 * not at all; an earlier file of that name is replaced.
 *
 * @param session  From mem3d_session_new().
 * @param path     UTF-8.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY, #MEM3D_STATUS_IO,
 *         #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `path` is NULL or ends with NUL.
 */
MEM3D_API
mem3d_status mem3d_session_save(const struct mem3d_session *session,
                                const char *path);

/**
 * Replaces what a session holds by what was saved, on the same volume and with the same model. A call that fails
 * leaves the session as it was.
 *
 * @param session  From mem3d_session_new().
 * @param path     A file of mem3d_session_save(). UTF-8.
 * @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT (saved on another volume or with another model),
 *         #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY, #MEM3D_STATUS_IO (unreadable, truncated or not a saved
 *         session), #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_INTERNAL.
 * @pre `session` is NULL or live; `path` is NULL or ends with NUL.
 */
MEM3D_API
mem3d_status mem3d_session_restore(struct mem3d_session *session,
                                   const char *path);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MEM3D_H */
