/* SPDX-License-Identifier: Apache-2.0 */
/* Generated from src/ffi by tests/header.rs; see CONTRIBUTING.md. Do not edit. */
/**
 * @file mem3d.h
 * @brief Interactive 3D segmentation of medical volumes.
 *
 * Open a session on a volume, draw on any slice, propagate, correct the slice that is suggested, propagate again.
 * Not a medical device.
 *
 * Rules, for every function:
 *
 * - Handles are opaque. What `..._new`, `..._load` or `..._random` returns is freed by `..._free`, which accepts NULL.
 * - A call that can fail returns a #mem3d_status. A call that fails changes nothing: neither the object nor what its
 *   output pointers point to. mem3d_last_error() returns the text: what is wrong, and what to do.
 * - Every such call may return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT or #MEM3D_STATUS_INTERNAL. Every call
 *   that changes a session, saves it or reads its memory may return #MEM3D_STATUS_BUSY. After #MEM3D_STATUS_INTERNAL a
 *   session is as it was before the call, and can be read and saved. Calls that change it work too, or from then on
 *   return #MEM3D_STATUS_INVALID_STATE. `@return` lists the statuses that a function may return besides, and special
 *   causes of these.
 * - NULL is #MEM3D_STATUS_INVALID_ARGUMENT wherever the text does not allow it. Any other pointer is valid during the
 *   call: a handle was not freed, a string is UTF-8 and ends with NUL, a buffer has the size given with it, a struct is
 *   as long as its `struct_size`, an output is writable. `@pre` lists what a function requires besides.
 * - Inputs are copied, or only read during the call. Outputs belong to the caller, unless marked "borrowed until".
 * - Buffers belong to the caller. A size that is not the one needed is #MEM3D_STATUS_INVALID_ARGUMENT.
 * - `..._get_...` returns numbers, a struct or a list; `..._read_...` fills an array of a size that the caller knows.
 * - Arrays are `[depth, height, width]` in C order. Points are continuous voxel indices in that order, voxel centres
 *   at integers. Spacing is in mm in that order; positions are LPS (left, posterior, superior).
 * - An annotated slice is one whose mask the user accepted or corrected by hand. Propagation does not change it.
 * - Structs that start with `struct_size` may grow in later versions. Zero them, then set `struct_size`; zero is the
 *   default of every field that has one. An older program lacks the newest fields, which are then zero; a field that is
 *   newer than the library must be zero.
 * - Numbers from an enum are `int32_t` where they come in, and are checked.
 * - A callback is given next to its `user_data`. It must not throw or jump out.
 * - A model may be used by any number of threads at once. A session may move between threads, but serves one call at
 *   a time: a second call, from another thread or from inside a callback, returns #MEM3D_STATUS_BUSY. Beside another
 *   call may run mem3d_session_cancel() and the calls that read masks, qualities and lists: they give what was
 *   committed last, before the running call. Freeing a session cancels a call that runs on it.
 * - A process that is forked after calls with several threads or on CUDA cannot use the library: every call that
 *   returns a status returns #MEM3D_STATUS_INVALID_STATE there. Start child processes with exec (in Python,
 *   multiprocessing's "spawn").
 * - On the CPU with the same thread count, the same calls give the same bytes. By default that count depends on what
 *   other programs leave free; see mem3d_set_thread_count().
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

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status ---- */

/** How a call ended. Values are never reused. */
typedef int32_t mem3d_status;
/** Values of #mem3d_status. */
enum {
    MEM3D_STATUS_OK = 0,               ///< Done.
    MEM3D_STATUS_INVALID_ARGUMENT = 1, ///< An argument is outside what the call accepts.
    MEM3D_STATUS_INVALID_STATE = 2,    ///< Not possible in the present state of the object.
    MEM3D_STATUS_BUSY = 3,             ///< The object is serving another call.
    MEM3D_STATUS_CANCELLED = 4,        ///< Stopped by the caller.
    MEM3D_STATUS_IO = 5,               ///< A file could not be read or written, or does not hold what it should.
    MEM3D_STATUS_BAD_MODEL = 6,        ///< A model file cannot be used, or the network output contains NaN.
    MEM3D_STATUS_UNSUPPORTED = 7,      ///< Something this build, machine or model does not offer.
    MEM3D_STATUS_OUT_OF_MEMORY = 8,    ///< Not enough memory on the host or the device.
    MEM3D_STATUS_TORCH = 9,            ///< libtorch failed.
    MEM3D_STATUS_INTERNAL = 99,        ///< A bug of mem3d. Please report the text of mem3d_last_error().
};

/**
 * Returns the text of the last failure on the calling thread: what is wrong and what to do about it. A call that
 * succeeds does not change it.
 *
 * @return UTF-8, never NULL; "" when no call has failed on this thread. Borrowed until the next call that fails on
 *         the same thread, or until the thread ends.
 */
MEM3D_API const char *mem3d_last_error(void);

/* ---- version ---- */

/** ABI version of this header, also in the SONAME. Grows when a program for an older header would fail. */
#define MEM3D_ABI_VERSION 1

/**
 * Returns the version of the library, e.g. "0.1.0".
 *
 * @return UTF-8, never NULL. Lives as long as the library.
 */
MEM3D_API const char *mem3d_version(void);

/**
 * Returns the ABI version of the library. Compare with #MEM3D_ABI_VERSION when loading it at run time.
 *
 * @return #MEM3D_ABI_VERSION of the header that the library was built with.
 */
MEM3D_API uint32_t mem3d_abi_version(void);

/**
 * Returns the version of libtorch that the library was built for, e.g. "2.11.0".
 *
 * @return UTF-8, never NULL. Lives as long as the library.
 */
MEM3D_API const char *mem3d_libtorch_version(void);

/* ---- log ---- */

/** Severity of a message. */
typedef int32_t mem3d_log_level;
/** Values of #mem3d_log_level. */
enum {
    MEM3D_LOG_LEVEL_ERROR = 1, ///< Something failed.
    MEM3D_LOG_LEVEL_WARN = 2,  ///< Something works less well than it could.
    MEM3D_LOG_LEVEL_INFO = 3,  ///< What a user may want to know.
    MEM3D_LOG_LEVEL_DEBUG = 4, ///< What a developer of a host may want to know.
    MEM3D_LOG_LEVEL_TRACE = 5, ///< Everything.
};

/**
 * Receives one message. `level` is a #mem3d_log_level; `message` is UTF-8, borrowed until the function returns.
 *
 * May be called from several threads at once. Must not throw, and must not call mem3d_set_log_callback().
 */
typedef void (*mem3d_log_fn)(int32_t level, const char *message, void *user_data);

/**
 * Sends the library's messages to a function of the host. Without one they are dropped; nothing is ever printed.
 *
 * When the call returns, the function set before has returned and is not called again.
 *
 * @param on_message  Called for every message; NULL for none.
 * @param user_data   Passed to `on_message`; must live until another function is set.
 * @param max_level   A #mem3d_log_level: the least severe one wanted. 0 for #MEM3D_LOG_LEVEL_INFO.
 * @return #MEM3D_STATUS_INVALID_STATE (the program has a Rust logger of its own) or #MEM3D_STATUS_BUSY (called from
 *         `on_message`).
 * @pre `on_message` may be called from any thread with `user_data`.
 */
MEM3D_API mem3d_status mem3d_set_log_callback(mem3d_log_fn on_message, void *user_data, int32_t max_level);

/* ---- device ---- */

/** A device that networks can run on. Grows; set `struct_size` before the call. */
typedef struct mem3d_device_info {
    uint32_t struct_size;        ///< `sizeof(mem3d_device_info)`, set by the caller.
    uint32_t reserved;           ///< 0.
    char id[32];                 ///< Value for #mem3d_model_options::device: "cpu", "cuda:0", ... UTF-8, ends with NUL.
    char name[128];              ///< Name of the hardware. UTF-8, ends with NUL, cut if longer.
    uint64_t memory_total_bytes; ///< Total memory, bytes; 0 when unknown.
    uint64_t memory_free_bytes;  ///< Free memory, bytes; 0 when unknown.
} mem3d_device_info;

/**
 * Returns the number of devices that can be used now. The CPU is always the first.
 *
 * @param[out] count  Number of devices, at least 1.
 */
MEM3D_API mem3d_status mem3d_device_get_count(uint32_t *count);

/**
 * Describes one device.
 *
 * @param index      0 to the number of devices - 1.
 * @param[out] info  Filled up to its `struct_size`.
 */
MEM3D_API mem3d_status mem3d_device_get_info(uint32_t index, mem3d_device_info *info);

/**
 * Sets the number of CPU threads that one call may use, for every session and thread of the process. libtorch and
 * mem3d each use that many; sessions share mem3d's.
 *
 * By default each new session sets it: one per processor that the process may use (taskset, containers) and that other
 * programs leave free at that moment. `OMP_NUM_THREADS` in the environment is taken as it is.
 *
 * libtorch computes with OpenMP, which keeps one number for each calling thread: a call on a model or session, such as
 * mem3d_session_new(), sets it on its thread, where it holds for the host's own OpenMP regions, too. A host that has
 * some calls `omp_set_num_threads()` after such a call, or calls mem3d from a thread of its own.
 *
 * @param count  1 to four times the processors, or to 64; 0 for the default.
 */
MEM3D_API mem3d_status mem3d_set_thread_count(uint32_t count);

/**
 * Returns the number of CPU threads that one call may use.
 *
 * @param[out] count  At least 1.
 */
MEM3D_API mem3d_status mem3d_get_thread_count(uint32_t *count);

/* ---- interaction ---- */

/** What a user can draw, for #mem3d_interaction::kind. */
typedef int32_t mem3d_interaction_kind;
/** Values of #mem3d_interaction_kind. */
enum {
    /** A free stroke: the line through the points, or the pixels of a raster. */
    MEM3D_INTERACTION_KIND_SCRIBBLE = 0,
    /** A rectangle around the target: two opposite corners. */
    MEM3D_INTERACTION_KIND_BOX = 1,
    /** The outermost points of the target: four or more. */
    MEM3D_INTERACTION_KIND_EXTREME_POINTS = 2,
    /** Single points: one or more. */
    MEM3D_INTERACTION_KIND_CLICK = 3,
};

/** Meaning of the numbers of a point, for #mem3d_interaction::coordinates. */
typedef int32_t mem3d_coordinates;
/** Values of #mem3d_coordinates. */
enum {
    MEM3D_COORDINATES_VOXEL_INDEX = 0, ///< Continuous voxel index, `[depth, height, width]`.
    MEM3D_COORDINATES_LPS_MM = 1,      ///< Position in millimetres, `[left, posterior, superior]`.
};

/* ---- model ---- */

/** The networks of one model file on one device. Never changes, so any number of sessions and threads may share it. */
typedef struct mem3d_model mem3d_model;

/** Families of networks, for #mem3d_model_info::preset and mem3d_model_random(). */
typedef int32_t mem3d_preset;
/** Values of #mem3d_preset. */
enum {
    MEM3D_PRESET_COMPACT = 0, ///< Small networks with mask-free keys; the default.
    MEM3D_PRESET_PAPER = 1,   ///< The networks of the paper: two ResNet-50 encoders, one interaction network per kind.
};

/** Number formats of the networks' arithmetic, for #mem3d_model_options::precision. */
typedef int32_t mem3d_precision;
/** Values of #mem3d_precision. */
enum {
    MEM3D_PRECISION_AUTO = 0, ///< The default: as #MEM3D_PRECISION_F32.
    MEM3D_PRECISION_F32 = 1,  ///< float32; convolutions on CUDA may round their factors to ten bits (TF32).
    MEM3D_PRECISION_BF16 = 2, ///< bfloat16, with float32 where it matters.
    MEM3D_PRECISION_F16 = 3,  ///< float16, with float32 where it matters; CUDA only.
};

/** Device and precision of a model. Grows; zero it, then set `struct_size`. */
typedef struct mem3d_model_options {
    /** `sizeof(mem3d_model_options)`, set by the caller. */
    uint32_t struct_size;
    /** A #mem3d_precision. */
    int32_t precision;
    /** "auto" (CUDA when there is one, else the CPU), "cpu", "cuda" or "cuda:N"; NULL for "auto". UTF-8. */
    const char *device;
} mem3d_model_options;

/**
 * Description of a model. Grows; set `struct_size` before the call. Texts are UTF-8, never NULL, and borrowed until
 * the model is freed.
 */
typedef struct mem3d_model_info {
    /** `sizeof(mem3d_model_info)`, set by the caller. */
    uint32_t struct_size;
    /** A #mem3d_preset. */
    int32_t preset;
    /** Name of the model. */
    const char *name;
    /** Origin of the weights. */
    const char *provenance;
    /** Licence of the weights. */
    const char *licence;
    /** SHA-256 of the model file, lower-case hexadecimal. */
    const char *checksum;
    /** Device of the weights: "cpu", "cuda:0", ... */
    const char *device;
    /** Kinds of interaction that the model accepts: bit `1 << kind` for each #mem3d_interaction_kind. */
    uint32_t interaction_kinds;
    /** Side of the network's input for a region of interest, pixels. */
    uint32_t network_size;
    /** Side of the network's input for a whole slice, pixels. */
    uint32_t slice_size;
    /** Slices in the network's input: 1, or 3 with both neighbours. */
    uint32_t context_slices;
    /** Channels of the keys of the memory. */
    uint32_t key_channels;
    /** Channels of the values of the memory. */
    uint32_t value_channels;
    /** Stride of keys and values, pixels. */
    uint32_t key_stride;
    /** 0. */
    uint32_t reserved;
} mem3d_model_info;

/**
 * Loads a model file.
 *
 * @param path        A `.safetensors` file of mem3d. UTF-8; on Unix any bytes.
 * @param options     Device and precision; NULL for the defaults.
 * @param[out] model  Free with mem3d_model_free().
 * @return #MEM3D_STATUS_IO, #MEM3D_STATUS_BAD_MODEL, #MEM3D_STATUS_UNSUPPORTED (device or precision),
 *         #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_TORCH.
 */
MEM3D_API mem3d_status mem3d_model_load(const char *path, const mem3d_model_options *options, mem3d_model **model);

/**
 * Makes a model with random weights, for tests of hosts and measurements of speed. Its masks mean nothing.
 *
 * @param preset      A #mem3d_preset.
 * @param seed        The same seed gives the same weights.
 * @param options     Device and precision; NULL for the defaults.
 * @param[out] model  Free with mem3d_model_free().
 * @return #MEM3D_STATUS_UNSUPPORTED (device or precision), #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_TORCH.
 */
MEM3D_API mem3d_status mem3d_model_random(int32_t preset, int64_t seed, const mem3d_model_options *options,
                                          mem3d_model **model);

/**
 * Describes a model.
 *
 * @param model      From mem3d_model_load() or mem3d_model_random().
 * @param[out] info  Filled up to its `struct_size`.
 */
MEM3D_API mem3d_status mem3d_model_get_info(const mem3d_model *model, mem3d_model_info *info);

/**
 * Frees a model. Sessions made with it, and calls that are running, keep what they need.
 *
 * @param model  May be NULL. No call may begin on it any more.
 */
MEM3D_API void mem3d_model_free(mem3d_model *model);

/* ---- volume_view ---- */

/** Types of a voxel, for #mem3d_volume_view::scalar_type. */
typedef int32_t mem3d_scalar_type;
/** Values of #mem3d_scalar_type. */
enum {
    MEM3D_SCALAR_TYPE_U8 = 1,  ///< uint8_t.
    MEM3D_SCALAR_TYPE_I8 = 2,  ///< int8_t.
    MEM3D_SCALAR_TYPE_U16 = 3, ///< uint16_t.
    MEM3D_SCALAR_TYPE_I16 = 4, ///< int16_t.
    MEM3D_SCALAR_TYPE_U32 = 5, ///< uint32_t.
    MEM3D_SCALAR_TYPE_I32 = 6, ///< int32_t.
    MEM3D_SCALAR_TYPE_F32 = 7, ///< float.
    MEM3D_SCALAR_TYPE_F64 = 8, ///< double.
};

/**
 * Axes along which slices are cut, for every parameter and field called `axis`. Rows and columns of a slice are the
 * two other axes, in order. Arrays with one value per axis are indexed by `axis - 1`.
 */
typedef int32_t mem3d_axis;
/** Values of #mem3d_axis. */
enum {
    MEM3D_AXIS_LAST_DRAWN = 0, ///< The axis last drawn on. Only for #mem3d_propagate_options::axis.
    MEM3D_AXIS_DEPTH = 1,      ///< Slices of height x width (axial in a volume in standard orientation).
    MEM3D_AXIS_HEIGHT = 2,     ///< Slices of depth x width.
    MEM3D_AXIS_WIDTH = 3,      ///< Slices of depth x height.
};

/** A volume in the host's memory, `[depth, height, width]`. Grows; zero it, then set `struct_size`. */
typedef struct mem3d_volume_view {
    /** `sizeof(mem3d_volume_view)`, set by the caller. */
    uint32_t struct_size;
    /** A #mem3d_scalar_type. */
    int32_t scalar_type;
    /** Voxel [0, 0, 0]; need not be aligned. */
    const void *data;
    /** Number of voxels along each axis, `[depth, height, width]`; 1..32767. */
    int64_t shape[3];
    /** Bytes from a voxel to the next along each axis; may be negative. All 0 for C order without gaps. */
    int64_t byte_strides[3];
    /**
     * Distance of neighbouring voxel centres along each axis, mm: 1e-6..1e6, the largest at most 1000 times the
     * smallest. All 0 for 1 mm.
     */
    double spacing_mm[3];
    /** Position of voxel [0, 0, 0] in LPS, mm. */
    double origin_mm[3];
    /**
     * For each axis, the unit vector in LPS in which its index grows: depth, then height, then width. All 0 for
     * width to the left, height to the back, depth upwards.
     */
    double direction[9];
} mem3d_volume_view;

/* ---- session ---- */

/** One user's work on one volume: its copy, segments, masks and rounds. Serves one call at a time. */
typedef struct mem3d_session mem3d_session;

/**
 * Options of a session, fixed for its life, but for what mem3d_session_restore() replaces. Grows; zero it, then set
 * `struct_size`.
 */
typedef struct mem3d_session_options {
    /** `sizeof(mem3d_session_options)`, set by the caller. */
    uint32_t struct_size;
    /** NaN or infinite voxels: 0 rejects the volume, 1 replaces them by the lower end of the window. */
    uint32_t replace_non_finite;
    /**
     * Intensity mapped to 0. Both ends 0: the 0.5th and 99.5th percentile of the volume, for CT (least value -5000 to
     * -500) limited to -250..450 HU; a segment of CT most of whose voxels are darker, as lung, has a lower end below
     * them.
     */
    double window_low;
    /** Intensity mapped to 1. */
    double window_high;
    /** Largest memory for cached features of slices, bytes. 0 for 400 MB. */
    uint64_t feature_cache_bytes;
    /** Number of steps that can be undone; 1..10000. 0 for 50, -1 for none. */
    int32_t undo_depth;
    /**
     * 1 keeps CUDA memory in libtorch's cache when the session is freed, for the next session of this process. By
     * default it is returned to the device.
     */
    uint32_t keep_cuda_cache;
    /**
     * 1 disables 3D refinement. By default propagated masks are refined by a random walker that combines network
     * output, image edges, neighbouring slices and interpolation between annotated masks.
     */
    uint32_t no_refinement;
    /** @name Tuning, rarely needed
     *  @{ */
    /** 1 segments whole slices, as in the paper, instead of a region of interest around the target. */
    uint32_t whole_slice;
    /** Every how many slices one is memorized during a propagation; 1 or more. 0 for 5, -1 for none. */
    int32_t memorize_every;
    /** Most memorized slices besides the annotated ones and the previous one; 1..1000. 0 for 4, -1 for none. */
    int32_t max_memory_slices;
    /** Number of consecutive empty slices that ends a propagation; 1 or more. 0 for 3, -1 never ends it early. */
    int32_t stop_after_empty;
    /** Masks with fewer pixels are empty; 1 or more. 0 for 4, -1 keeps all. */
    int32_t min_area;
    /** Slices whose largest probability is lower are empty; 0..1. 0 for 0.5, -1 disables this test. */
    double min_probability;
    /**
     * Slices whose mask is a smaller fraction of the previous slice's are empty; 0..1. 0 for 0.02, -1 disables this
     * test.
     */
    double min_area_fraction;
    /**
     * Slices that hold the target with a lower probability, by the quality head, are empty, unless an annotated slice
     * with the target lies ahead; 0..1. 0 for 0.8, -1 disables this test.
     */
    double min_presence;
    /** Side of the region of interest as a multiple of the side of the target; 1..10. 0 for 1.6. */
    double roi_scale;
    /** @} */
} mem3d_session_options;

/**
 * Opens a session on a volume. The volume is copied, so the host may free or change its own.
 *
 * @param model         Shared; may be freed before the session.
 * @param volume        Voxels and geometry.
 * @param options       NULL for the defaults.
 * @param[out] session  Free with mem3d_session_free().
 * @return #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_TORCH.
 * @pre The data of `volume` is readable as far as its shape and strides reach.
 */
MEM3D_API mem3d_status mem3d_session_new(const mem3d_model *model, const mem3d_volume_view *volume,
                                         const mem3d_session_options *options, mem3d_session **session);

/**
 * Frees a session and everything it holds. A call that is running on it, from another thread or around the callback
 * that frees it, is cancelled as by mem3d_session_cancel(); what the session holds is then freed when that call ends.
 *
 * @param session  May be NULL. No call may begin on it any more.
 */
MEM3D_API void mem3d_session_free(mem3d_session *session);

/* ---- session: draw ---- */

/** One interaction on one slice, given by points or by a raster. Grows; zero it, then set `struct_size`. */
typedef struct mem3d_interaction {
    /** `sizeof(mem3d_interaction)`, set by the caller. */
    uint32_t struct_size;
    /** Segment that is drawn, 1 to 65535. */
    uint32_t segment;
    /** A #mem3d_axis: the one the slice is cut along. */
    int32_t axis;
    /** Slice number along `axis`. Not read for points in mm, which lie on the slice nearest to their mean. */
    uint32_t slice;
    /** A #mem3d_interaction_kind. */
    int32_t kind;
    /** 0: drawn inside the target (positive); 1: drawn outside (negative). */
    uint32_t negative;
    /** `n_points` points of three doubles on the slice, in `coordinates`. NULL when a raster is given. */
    const double *points;
    /** Number of points. */
    size_t n_points;
    /** Half the width of a scribble given by points, mm; 0 for 1.5 pixels. */
    double radius_mm;
    /** For a scribble, instead of points: one byte per pixel of the slice, not 0 where drawn. */
    const uint8_t *raster;
    /** Bytes from a pixel of the raster to the next along rows and columns; both 0 for C order without gaps. */
    int64_t raster_byte_strides[2];
    /** A #mem3d_coordinates: the meaning of `points`. 0 for voxel indices. */
    int32_t coordinates;
    /** 0. */
    uint32_t reserved;
} mem3d_interaction;

/**
 * Draws on a slice and returns its new mask. Interactions on one slice add up until it is accepted.
 * A scribble or click on a slice with a mask changes it around what is drawn; a box or extreme points replace it. On
 * slices of other axes that were drawn on, the mask changes under strokes and clicks alone; on accepted ones it stays.
 *
 * @param session      From mem3d_session_new().
 * @param interaction  What is drawn.
 * @param[out] mask    Row-major, one byte per pixel: 1 inside, 0 outside. May be NULL.
 * @param mask_size    Bytes of `mask`: rows times columns of the slice. Ignored when `mask` is NULL.
 * @return #MEM3D_STATUS_UNSUPPORTED (a kind of interaction that the model does not accept), #MEM3D_STATUS_BAD_MODEL
 *         (the network output contains NaN), #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_TORCH.
 * @pre Points and raster are readable as far as the fields of `interaction` reach.
 */
MEM3D_API mem3d_status mem3d_session_interact(mem3d_session *session, const mem3d_interaction *interaction,
                                              uint8_t *mask, size_t mask_size);

/**
 * Replaces a slice's mask by one that the user corrected by hand. The slice becomes annotated.
 *
 * @param session    From mem3d_session_new().
 * @param segment    1 to 65535.
 * @param axis       A #mem3d_axis: the one the slice is cut along.
 * @param slice      Slice number along `axis`.
 * @param mask       Row-major, one byte per pixel: 0 outside, anything else inside.
 * @param mask_size  Bytes of `mask`: rows times columns of the slice.
 * @return #MEM3D_STATUS_OUT_OF_MEMORY.
 */
MEM3D_API mem3d_status mem3d_session_set_slice_mask(mem3d_session *session, uint32_t segment, int32_t axis,
                                                    uint32_t slice, const uint8_t *mask, size_t mask_size);

/**
 * Sets a segment's mask of the whole volume, for example an earlier segmentation. No slice becomes annotated; what is
 * corrected later fades into this mask over ten slices.
 *
 * @param session    From mem3d_session_new().
 * @param segment    1 to 65535.
 * @param mask       `[depth, height, width]`, one byte per voxel: 0 outside, anything else inside.
 * @param mask_size  Bytes of `mask`: depth times height times width.
 * @return #MEM3D_STATUS_OUT_OF_MEMORY.
 */
MEM3D_API mem3d_status mem3d_session_set_mask(mem3d_session *session, uint32_t segment, const uint8_t *mask,
                                              size_t mask_size);

/**
 * Accepts a slice's mask as it is. The slice becomes annotated.
 *
 * @param session  From mem3d_session_new().
 * @param segment  1 to 65535, with a mask or an interaction; else #MEM3D_STATUS_INVALID_ARGUMENT.
 * @param axis     A #mem3d_axis: the one the slice is cut along.
 * @param slice    Slice number along `axis`.
 * @return #MEM3D_STATUS_OUT_OF_MEMORY.
 */
MEM3D_API mem3d_status mem3d_session_accept(mem3d_session *session, uint32_t segment, int32_t axis, uint32_t slice);

/* ---- session: propagate ---- */

/** Progress of a propagation. Filled by the library, never grows. */
typedef struct mem3d_progress {
    uint32_t done;    ///< Slices done so far.
    uint32_t total;   ///< Most slices to do; fewer are done where the target ends early.
    uint32_t slice;   ///< The slice just segmented.
    uint32_t segment; ///< The segment that was segmented on it.
} mem3d_progress;

/**
 * Called after every slice of a propagation. Return true to continue, false to stop: mem3d_session_propagate() then
 * returns #MEM3D_STATUS_CANCELLED.
 *
 * Runs on the calling thread, never after the call has returned. Must not throw. Calls on the same session from here
 * that would change it return #MEM3D_STATUS_BUSY; masks read from here are those before the propagation.
 */
typedef bool (*mem3d_progress_fn)(const mem3d_progress *progress, void *user_data);

/**
 * As #mem3d_progress_fn, with the mask of the slice just segmented, so that a host can show it grow: `rows` times
 * `columns` bytes, row-major, 1 inside, 0 outside, borrowed until the function returns. Later slices and refinement
 * may change it before the propagation ends.
 */
typedef bool (*mem3d_slice_fn)(const mem3d_progress *progress, const uint8_t *mask, uint32_t rows, uint32_t columns,
                               void *user_data);

/** Sides of the annotated slices that are segmented, for #mem3d_propagate_options::direction. */
typedef int32_t mem3d_direction;
/** Values of #mem3d_direction. */
enum {
    MEM3D_DIRECTION_BOTH = 0, ///< Towards higher and lower slice numbers.
    MEM3D_DIRECTION_UP = 1,   ///< Towards higher slice numbers only.
    MEM3D_DIRECTION_DOWN = 2, ///< Towards lower slice numbers only.
};

/** Options of a propagation. Grows; zero it, then set `struct_size`. */
typedef struct mem3d_propagate_options {
    /** `sizeof(mem3d_propagate_options)`, set by the caller. */
    uint32_t struct_size;
    /** Segment to propagate; 0 for every segment with an annotated slice along the axis. */
    uint32_t segment;
    /** A #mem3d_axis: the one to propagate along. 0 for the axis last drawn on. */
    int32_t axis;
    /** A #mem3d_direction. */
    int32_t direction;
    /** First slice that may be changed. */
    uint32_t first_slice;
    /**
     * Number of slices from there that may be changed; 0 for all up to the last, which needs `axis` unless
     * `first_slice` is 0.
     */
    uint32_t n_slices;
    /** Called after every slice; NULL for no callback. */
    mem3d_progress_fn on_slice;
    /** Passed to `on_slice` and `on_mask`. */
    void *user_data;
    /** Called after every slice, after `on_slice`, with the slice's mask; NULL for no callback. */
    mem3d_slice_fn on_mask;
} mem3d_propagate_options;

/**
 * Propagates the masks of the annotated slices through the volume. First accepts every slice that was drawn on, of the
 * segments that are propagated.
 *
 * Only slices between a newly annotated slice and its annotated neighbours change; if none is new, all others do. Of a
 * segment that began with mem3d_session_set_mask(), only slices near newly annotated ones do. With several segments,
 * name the one that was corrected. Qualities along other axes become 0: they were of other masks.
 *
 * Blocks until done; call it from a thread of the host's own to keep a user interface responsive.
 *
 * @param session       From mem3d_session_new().
 * @param options       Segment, axis, range and progress callback; NULL for the defaults.
 * @param[out] updated  Number of slice masks that were replaced. May be NULL.
 * @return #MEM3D_STATUS_INVALID_STATE (no slice is annotated along the axis), #MEM3D_STATUS_CANCELLED,
 *         #MEM3D_STATUS_BAD_MODEL (the network output contains NaN), #MEM3D_STATUS_OUT_OF_MEMORY or
 *         #MEM3D_STATUS_TORCH.
 * @pre `on_slice` and `on_mask` of `options` may be called with its `user_data`.
 */
MEM3D_API mem3d_status mem3d_session_propagate(mem3d_session *session, const mem3d_propagate_options *options,
                                               uint32_t *updated);

/**
 * Stops the running propagation before its next slice, from another thread or from inside its callback, which is then
 * not called again. Without a running propagation it has no effect.
 *
 * @param session  From mem3d_session_new().
 * @pre `session` is not freed during the call.
 */
MEM3D_API mem3d_status mem3d_session_cancel(const mem3d_session *session);

/* ---- session: quality ---- */

/** The slice to correct next; all 0 when there is none. Grows; set `struct_size` before the call. */
typedef struct mem3d_suggestion {
    uint32_t struct_size; ///< `sizeof(mem3d_suggestion)`, set by the caller.
    uint32_t found;       ///< 1: there is a suggestion. 0: all propagated slices are annotated, or none is propagated.
    uint32_t segment;     ///< Segment to correct.
    int32_t axis;         ///< A #mem3d_axis: the one the slice is cut along.
    uint32_t slice;       ///< Slice number along `axis`.
    float quality;        ///< Estimated quality of its mask, 0..1.
    float gain;           ///< Expected gain of a correction there, voxels of the volume.
    uint32_t reserved;    ///< 0.
} mem3d_suggestion;

/**
 * Reads the estimated quality of a segment's mask on every slice along an axis.
 *
 * @param session       From mem3d_session_new().
 * @param segment       1 to 65535, with a mask or an interaction; else #MEM3D_STATUS_INVALID_ARGUMENT.
 * @param axis          A #mem3d_axis: the one the slices are cut along.
 * @param[out] quality  Expected IoU per slice, 0..1: 1 where annotated, 0 where nothing was propagated.
 * @param n_slices      Values of `quality`: the number of slices along `axis`.
 */
MEM3D_API mem3d_status mem3d_session_read_quality(const mem3d_session *session, uint32_t segment, int32_t axis,
                                                  float *quality, size_t n_slices);

/**
 * Suggests the slice whose correction has the largest expected gain. Annotated slices are never suggested.
 *
 * @param session          From mem3d_session_new().
 * @param segment          As in mem3d_session_read_quality(), or 0 for the best of all segments.
 * @param[out] suggestion  Filled up to its `struct_size`; `found` is 0 when there is none.
 */
MEM3D_API mem3d_status mem3d_session_suggest_slice(const mem3d_session *session, uint32_t segment,
                                                   mem3d_suggestion *suggestion);

/* ---- session: read ---- */

/**
 * Reads a segment's mask.
 *
 * @param session    From mem3d_session_new().
 * @param segment    1 to 65535, with a mask or an interaction; else #MEM3D_STATUS_INVALID_ARGUMENT.
 * @param[out] mask  `[depth, height, width]`, one byte per voxel: 1 inside, 0 outside.
 * @param mask_size  Bytes of `mask`: depth times height times width.
 */
MEM3D_API mem3d_status mem3d_session_read_mask(const mem3d_session *session, uint32_t segment, uint8_t *mask,
                                               size_t mask_size);

/**
 * Reads a segment's mask on one slice.
 *
 * @param session    From mem3d_session_new().
 * @param segment    1 to 65535, with a mask or an interaction; else #MEM3D_STATUS_INVALID_ARGUMENT.
 * @param axis       A #mem3d_axis: the one the slice is cut along.
 * @param slice      Slice number along `axis`.
 * @param[out] mask  Row-major, one byte per pixel: 1 inside, 0 outside.
 * @param mask_size  Bytes of `mask`: rows times columns of the slice.
 */
MEM3D_API mem3d_status mem3d_session_read_slice_mask(const mem3d_session *session, uint32_t segment, int32_t axis,
                                                     uint32_t slice, uint8_t *mask, size_t mask_size);

/**
 * Reads the probability of each voxel to belong to a segment.
 *
 * @param session           From mem3d_session_new().
 * @param segment           1 to 65535, with a mask or an interaction; else #MEM3D_STATUS_INVALID_ARGUMENT.
 * @param[out] probability  `[depth, height, width]`, 0..1 in steps of 1/255; values under 3 % read as 0.
 * @param n_voxels          Values of `probability`: depth times height times width.
 */
MEM3D_API mem3d_status mem3d_session_read_probability(const mem3d_session *session, uint32_t segment,
                                                      float *probability, size_t n_voxels);

/**
 * Reads all segments as one label volume. Where several overlap, the most probable wins.
 *
 * @param session      From mem3d_session_new().
 * @param[out] labels  `[depth, height, width]`: segment numbers, 0 outside of all.
 * @param n_voxels     Values of `labels`: depth times height times width.
 * @return #MEM3D_STATUS_OUT_OF_MEMORY.
 */
MEM3D_API mem3d_status mem3d_session_read_labels(const mem3d_session *session, uint16_t *labels, size_t n_voxels);

/**
 * Returns the segments that have a mask or an interaction, ascending.
 *
 * @param session        From mem3d_session_new().
 * @param[out] segments  Segment numbers; NULL to get `count` only.
 * @param capacity       Values that `segments` has room for, at least `count`. Ignored when it is NULL.
 * @param[out] count     Number of segments.
 */
MEM3D_API mem3d_status mem3d_session_get_segments(const mem3d_session *session, uint32_t *segments, size_t capacity,
                                                  size_t *count);

/**
 * Returns the annotated slices of a segment, ascending; none for one without mask or interaction. Propagation does not
 * change them.
 *
 * @param session      From mem3d_session_new().
 * @param segment      1 to 65535.
 * @param axis         A #mem3d_axis: the one the slices are cut along.
 * @param[out] slices  Slice numbers; NULL to get `count` only.
 * @param capacity     Values that `slices` has room for, at least `count`. Ignored when it is NULL.
 * @param[out] count   Number of annotated slices.
 */
MEM3D_API mem3d_status mem3d_session_get_annotated_slices(const mem3d_session *session, uint32_t segment, int32_t axis,
                                                          uint32_t *slices, size_t capacity, size_t *count);

/**
 * Returns the intensities that are mapped to 0 and 1 for the networks.
 *
 * @param session    From mem3d_session_new().
 * @param[out] low   Mapped to 0, in the volume's units.
 * @param[out] high  Mapped to 1, in the volume's units.
 */
MEM3D_API mem3d_status mem3d_session_get_window(const mem3d_session *session, double *low, double *high);

/**
 * Returns the voxel index of a position, with fractions: what a view in millimetres shows, in the session's volume.
 *
 * @param session      From mem3d_session_new().
 * @param lps_mm       Three doubles: left, posterior, superior, mm.
 * @param[out] index   Three doubles: depth, height, width. Outside of the volume below 0 or above its last voxel.
 */
MEM3D_API mem3d_status mem3d_session_get_index(const mem3d_session *session, const double *lps_mm, double *index);

/** Memory held by a session, bytes. Grows; set `struct_size` before the call. */
typedef struct mem3d_memory_usage {
    uint32_t struct_size;    ///< `sizeof(mem3d_memory_usage)`, set by the caller.
    uint32_t reserved;       ///< 0.
    uint64_t volume_bytes;   ///< Copy of the volume.
    uint64_t masks_bytes;    ///< Masks and probabilities of all segments, undo steps included.
    uint64_t features_bytes; ///< Cached features of slices.
} mem3d_memory_usage;

/**
 * Returns the memory that a session holds.
 *
 * @param session     From mem3d_session_new().
 * @param[out] usage  Filled up to its `struct_size`.
 */
MEM3D_API mem3d_status mem3d_session_get_memory_usage(const mem3d_session *session, mem3d_memory_usage *usage);

/* ---- session: undo ---- */

/**
 * Undoes the last step: an interaction, a correction, an acceptance, a propagation or a reset.
 *
 * @param session       From mem3d_session_new().
 * @param[out] changed  Whether there was a step to undo. May be NULL.
 * @return #MEM3D_STATUS_OUT_OF_MEMORY.
 */
MEM3D_API mem3d_status mem3d_session_undo(mem3d_session *session, bool *changed);

/**
 * Redoes the step that mem3d_session_undo() undid last.
 *
 * @param session       From mem3d_session_new().
 * @param[out] changed  Whether there was a step to redo. May be NULL.
 * @return #MEM3D_STATUS_OUT_OF_MEMORY.
 */
MEM3D_API mem3d_status mem3d_session_redo(mem3d_session *session, bool *changed);

/**
 * Deletes a segment's masks and interactions. Can be undone.
 *
 * @param session  From mem3d_session_new().
 * @param segment  As in mem3d_session_read_mask(), or 0 for all segments.
 * @return #MEM3D_STATUS_OUT_OF_MEMORY.
 */
MEM3D_API mem3d_status mem3d_session_reset(mem3d_session *session, uint32_t segment);

/* ---- session: save ---- */

/**
 * Saves a session's interactions, masks, qualities and undo steps, but not the volume. The file is replaced
 * atomically: it is written whole, or an earlier file of that name stays.
 *
 * @param session  From mem3d_session_new().
 * @param path     UTF-8; on Unix any bytes.
 * @return #MEM3D_STATUS_IO or #MEM3D_STATUS_OUT_OF_MEMORY.
 */
MEM3D_API mem3d_status mem3d_session_save(const mem3d_session *session, const char *path);

/**
 * Replaces the contents of a session by a saved one, on the same volume and with the same model.
 *
 * The options of the saved session (window, undo depth, cache, tuning) replace those of mem3d_session_new(); model,
 * device and `keep_cuda_cache` stay.
 *
 * @param session  From mem3d_session_new().
 * @param path     A file of mem3d_session_save(), named as there.
 * @return #MEM3D_STATUS_INVALID_ARGUMENT (saved on another volume, with another spacing or another model),
 *         #MEM3D_STATUS_IO (unreadable, truncated or not a saved session) or #MEM3D_STATUS_OUT_OF_MEMORY.
 */
MEM3D_API mem3d_status mem3d_session_restore(mem3d_session *session, const char *path);

#ifdef __cplusplus
} // extern "C"
#endif

#endif /* MEM3D_H */
