// SPDX-License-Identifier: Apache-2.0
/// @file mem3d.hpp
/// @brief C++17 over mem3d.h: one class a handle, exceptions for statuses, std::function for callbacks.
///
/// Header-only; link the library of mem3d.h. Handles are movable, not copyable. Every call throws mem3d::Error when
/// the C function fails, and then has changed nothing. Threads: see mem3d.h. An exception thrown by a callback stops
/// the call and comes out of it.
#ifndef MEM3D_HPP
#define MEM3D_HPP

#include <mem3d.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace mem3d {

using Status = mem3d_status;

/// A call that failed. what() states the cause and what to do.
class Error : public std::runtime_error {
public:
    Error(Status status, const char *text) : std::runtime_error(text), status_(status) {}
    Status status() const noexcept { return status_; }

private:
    Status status_;
};

/// The object cannot serve the call now.
class BusyError : public Error {
    using Error::Error;
};

/// Stopped by a callback that returned false, or by Session::cancel().
class CancelledError : public Error {
    using Error::Error;
};

/// Throws unless `status` is that of success.
inline void check(Status status)
{
    switch (status) {
    case MEM3D_STATUS_OK: return;
    case MEM3D_STATUS_BUSY: throw BusyError(status, mem3d_last_error());
    case MEM3D_STATUS_CANCELLED: throw CancelledError(status, mem3d_last_error());
    default: throw Error(status, mem3d_last_error());
    }
}

/// A growing struct of mem3d.h, zeroed and with its size set.
template <class Struct>
Struct make()
{
    Struct value{};
    value.struct_size = static_cast<uint32_t>(sizeof value);
    return value;
}

// ---- version ----

inline std::string version() { return mem3d_version(); }
inline uint32_t abi_version() { return mem3d_abi_version(); }
inline std::string libtorch_version() { return mem3d_libtorch_version(); }

// ---- log ----

/// Receives one message; may be called from several threads at once.
using LogFunction = std::function<void(mem3d_log_level level, const char *message)>;

/// Sends the library's messages to `function`; an empty one stops them. Until then what it uses must live, after main()
/// too if destructors call the library. What it throws is dropped.
inline void set_log_callback(LogFunction function, mem3d_log_level max_level = MEM3D_LOG_LEVEL_INFO)
{
    struct Held {
        std::mutex mutex;
        std::unique_ptr<LogFunction> function;
    };
    // Never destroyed: the library calls the function also while the program ends.
    static Held &held = *new Held;
    auto next = function ? std::make_unique<LogFunction>(std::move(function)) : nullptr;
    const auto trampoline = [](int32_t level, const char *message, void *user_data) noexcept {
        try {
            (*static_cast<LogFunction *>(user_data))(static_cast<mem3d_log_level>(level), message);
        } catch (...) { // a log message is not worth ending the process
        }
    };
    const std::lock_guard<std::mutex> lock(held.mutex);
    check(mem3d_set_log_callback(next ? static_cast<mem3d_log_fn>(trampoline) : nullptr, next.get(), max_level));
    held.function = std::move(next); // the one before is not running any more
}

// ---- device ----

struct Device {
    std::string id; ///< "cpu", "cuda:0", ...
    std::string name;
    uint64_t memory_total_bytes;
    uint64_t memory_free_bytes;
};

/// Devices that can be used now; the CPU is the first.
inline std::vector<Device> devices()
{
    uint32_t count = 0;
    check(mem3d_device_get_count(&count));
    std::vector<Device> found;
    for (uint32_t i = 0; i < count; ++i) {
        auto info = make<mem3d_device_info>();
        check(mem3d_device_get_info(i, &info));
        found.push_back({info.id, info.name, info.memory_total_bytes, info.memory_free_bytes});
    }
    return found;
}

/// CPU threads of one call; 0 for those that other programs leave free.
inline void set_thread_count(uint32_t count) { check(mem3d_set_thread_count(count)); }

inline uint32_t thread_count()
{
    uint32_t count = 0;
    check(mem3d_get_thread_count(&count));
    return count;
}

// ---- model ----

/// The networks of one model file on one device; shared by sessions and threads.
class Model {
public:
    /// Loads a model file. `device`: "auto", "cpu", "cuda" or "cuda:N".
    static Model load(const std::string &path, const std::string &device = "auto",
                      mem3d_precision precision = MEM3D_PRECISION_AUTO)
    {
        const auto options = options_of(device, precision);
        mem3d_model *model = nullptr;
        check(mem3d_model_load(path.c_str(), &options, &model));
        return Model(model);
    }

    /// Random weights, for tests and measurements of speed: masks mean nothing.
    static Model random(mem3d_preset preset = MEM3D_PRESET_COMPACT, int64_t seed = 0,
                        const std::string &device = "auto", mem3d_precision precision = MEM3D_PRECISION_AUTO)
    {
        const auto options = options_of(device, precision);
        mem3d_model *model = nullptr;
        check(mem3d_model_random(preset, seed, &options, &model));
        return Model(model);
    }

    /// The texts in it live as long as this model.
    mem3d_model_info info() const
    {
        auto info = make<mem3d_model_info>();
        check(mem3d_model_get_info(handle_.get(), &info));
        return info;
    }

    /// For calls of mem3d.h; stays owned by this object.
    mem3d_model *c_handle() const noexcept { return handle_.get(); }

private:
    struct Deleter {
        void operator()(mem3d_model *model) const noexcept { mem3d_model_free(model); }
    };

    explicit Model(mem3d_model *model) : handle_(model) {}

    static mem3d_model_options options_of(const std::string &device, mem3d_precision precision)
    {
        auto options = make<mem3d_model_options>();
        options.device = device.c_str();
        options.precision = precision;
        return options;
    }

    std::unique_ptr<mem3d_model, Deleter> handle_;
};

// ---- volume_view ----

namespace detail {
template <class Voxel>
constexpr mem3d_scalar_type scalar_type()
{
    if constexpr (std::is_same_v<Voxel, uint8_t>)
        return MEM3D_SCALAR_TYPE_U8;
    else if constexpr (std::is_same_v<Voxel, int8_t>)
        return MEM3D_SCALAR_TYPE_I8;
    else if constexpr (std::is_same_v<Voxel, uint16_t>)
        return MEM3D_SCALAR_TYPE_U16;
    else if constexpr (std::is_same_v<Voxel, int16_t>)
        return MEM3D_SCALAR_TYPE_I16;
    else if constexpr (std::is_same_v<Voxel, uint32_t>)
        return MEM3D_SCALAR_TYPE_U32;
    else if constexpr (std::is_same_v<Voxel, int32_t>)
        return MEM3D_SCALAR_TYPE_I32;
    else if constexpr (std::is_same_v<Voxel, float>)
        return MEM3D_SCALAR_TYPE_F32;
    else {
        static_assert(std::is_same_v<Voxel, double>, "voxels are 8-, 16- or 32-bit integers, float or double");
        return MEM3D_SCALAR_TYPE_F64;
    }
}
} // namespace detail

/// A volume in the host's memory, C order; set strides, origin and direction in the result where they differ.
template <class Voxel>
mem3d_volume_view view(const Voxel *voxels, const std::array<int64_t, 3> &shape,
                       const std::array<double, 3> &spacing_mm = {1.0, 1.0, 1.0})
{
    auto volume = make<mem3d_volume_view>();
    volume.scalar_type = detail::scalar_type<Voxel>();
    volume.data = voxels;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        volume.shape[axis] = shape[axis];
        volume.spacing_mm[axis] = spacing_mm[axis];
    }
    return volume;
}

/// A volume of ITK, by the numbers of an itk::Image or SimpleITK image: all in the order x, y, z, `direction` row by
/// row as ITK's matrix has it, its columns the directions of x, y and z in LPS. Throws std::invalid_argument for a
/// direction that is no right-handed orthonormal basis: a flipped or mistaken axis would put masks on the wrong side.
template <class Voxel>
mem3d_volume_view itk_view(const Voxel *voxels, const std::array<int64_t, 3> &size,
                           const std::array<double, 3> &spacing_mm, const std::array<double, 3> &origin_mm,
                           const std::array<double, 9> &direction)
{
    const auto at = [&direction](std::size_t row, std::size_t column) { return direction[3 * row + column]; };
    for (std::size_t a = 0; a < 3; ++a)
        for (std::size_t b = a; b < 3; ++b) {
            const double dot = at(0, a) * at(0, b) + at(1, a) * at(1, b) + at(2, a) * at(2, b);
            if (!(std::abs(dot - (a == b ? 1.0 : 0.0)) < 1e-3)) // also for NaN
                throw std::invalid_argument("direction: its columns are not unit vectors at right angles; resample "
                                            "the image to a grid of such axes");
        }
    const double handed = at(0, 0) * (at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)) -
                          at(0, 1) * (at(1, 0) * at(2, 2) - at(1, 2) * at(2, 0)) +
                          at(0, 2) * (at(1, 0) * at(2, 1) - at(1, 1) * at(2, 0));
    if (!(handed > 0.0))
        throw std::invalid_argument("direction is left-handed; flip one axis of the image (itk::FlipImageFilter) "
                                    "and set its direction and origin with it");
    auto volume = view(voxels, {size[2], size[1], size[0]}, {spacing_mm[2], spacing_mm[1], spacing_mm[0]});
    for (std::size_t k = 0; k < 3; ++k) {
        volume.origin_mm[k] = origin_mm[k];
        for (std::size_t axis = 0; axis < 3; ++axis) volume.direction[3 * axis + k] = at(k, 2 - axis);
    }
    return volume;
}

// ---- session: draw ----

/// A continuous voxel index: depth, height, width; or a position in mm: left, posterior, superior.
using Point = std::array<double, 3>;
static_assert(sizeof(Point) == 3 * sizeof(double), "C gets an array of points as an array of doubles");

/// One interaction on one slice: points, or for a scribble a raster of the slice.
struct Interaction {
    uint32_t segment = 1;
    mem3d_axis axis = MEM3D_AXIS_DEPTH;
    uint32_t slice = 0;
    mem3d_interaction_kind kind = MEM3D_INTERACTION_KIND_SCRIBBLE;
    bool negative = false;
    std::vector<Point> points;
    double radius_mm = 0.0;
    std::vector<uint8_t> raster; ///< one byte per pixel of the slice, C order
    /// Meaning of `points`. Those in mm give the slice too, and `slice` is not read.
    mem3d_coordinates coordinates = MEM3D_COORDINATES_VOXEL_INDEX;
};

// ---- session: propagate ----

/// Called after every slice; returns false to stop.
using ProgressFunction = std::function<bool(const mem3d_progress &)>;

/// Called after every slice with its mask so far, `rows` times `columns` bytes; returns false to stop.
using SliceFunction = std::function<bool(const mem3d_progress &, const uint8_t *mask, uint32_t rows, uint32_t columns)>;

/// Options of Session::propagate(). By default, every segment is propagated through the whole volume.
struct Propagation {
    uint32_t segment = 0; ///< 0: all
    mem3d_axis axis = MEM3D_AXIS_LAST_DRAWN;
    mem3d_direction direction = MEM3D_DIRECTION_BOTH;
    uint32_t first_slice = 0;
    uint32_t n_slices = 0; ///< 0: all up to the last
    ProgressFunction on_slice;
    SliceFunction on_mask;
};

// ---- session ----

/// One user's work on one volume. Serves one call at a time; beside it, masks and qualities can be read as they were
/// before that call.
class Session {
public:
    /// Copies the volume. Ranges of its shape and spacing and of the options: mem3d.h.
    Session(const Model &model, const mem3d_volume_view &volume,
            const mem3d_session_options &options = make<mem3d_session_options>())
    {
        mem3d_session *session = nullptr;
        check(mem3d_session_new(model.c_handle(), &volume, &options, &session));
        handle_.reset(session);
        for (std::size_t axis = 0; axis < 3; ++axis) shape_[axis] = static_cast<std::size_t>(volume.shape[axis]);
    }

    /// Depth, height, width.
    const std::array<std::size_t, 3> &shape() const noexcept { return shape_; }

    /// Number of slices along an axis.
    std::size_t slice_count(mem3d_axis axis) const
    {
        if (axis < MEM3D_AXIS_DEPTH || axis > MEM3D_AXIS_WIDTH)
            throw std::invalid_argument("axis is " + std::to_string(axis) + "; use 1 (depth), 2 (height) or 3 (width)");
        return shape_[static_cast<std::size_t>(axis - MEM3D_AXIS_DEPTH)];
    }

    /// Number of pixels of a slice cut along an axis.
    std::size_t slice_size(mem3d_axis axis) const { return voxels() / slice_count(axis); }

    // ---- session: draw ----

    /// Draws, and returns the slice's new mask, C order.
    std::vector<uint8_t> interact(const Interaction &drawn)
    {
        auto interaction = make<mem3d_interaction>();
        interaction.segment = drawn.segment;
        interaction.axis = drawn.axis;
        interaction.slice = drawn.slice;
        interaction.kind = drawn.kind;
        interaction.negative = drawn.negative;
        interaction.radius_mm = drawn.radius_mm;
        interaction.coordinates = drawn.coordinates;
        if (!drawn.raster.empty()) {
            if (drawn.raster.size() != slice_size(drawn.axis))
                throw std::invalid_argument("raster is not of the slice's size");
            interaction.raster = drawn.raster.data();
        }
        if (!drawn.points.empty()) {
            interaction.points = drawn.points.front().data();
            interaction.n_points = drawn.points.size();
        }
        std::vector<uint8_t> mask(slice_size(drawn.axis));
        check(mem3d_session_interact(handle_.get(), &interaction, mask.data(), mask.size()));
        return mask;
    }

    void set_slice_mask(uint32_t segment, mem3d_axis axis, uint32_t slice, const std::vector<uint8_t> &mask)
    {
        check(mem3d_session_set_slice_mask(handle_.get(), segment, axis, slice, mask.data(), mask.size()));
    }

    void set_mask(uint32_t segment, const std::vector<uint8_t> &mask)
    {
        check(mem3d_session_set_mask(handle_.get(), segment, mask.data(), mask.size()));
    }

    /// Throws as read_mask().
    void accept(uint32_t segment, mem3d_axis axis, uint32_t slice)
    {
        check(mem3d_session_accept(handle_.get(), segment, axis, slice));
    }

    // ---- session: propagate ----

    /// Returns the number of slice masks replaced. Only slices between a newly annotated slice and its annotated
    /// neighbours change; if none is new, all others do. With several segments, name the one that was corrected.
    uint32_t propagate(const Propagation &what = {})
    {
        struct Call {
            const ProgressFunction &on_slice;
            const SliceFunction &on_mask;
            std::exception_ptr thrown;
        } call{what.on_slice, what.on_mask, nullptr};
        auto options = make<mem3d_propagate_options>();
        options.segment = what.segment;
        options.axis = what.axis;
        options.direction = what.direction;
        options.first_slice = what.first_slice;
        options.n_slices = what.n_slices;
        options.user_data = &call;
        if (what.on_slice) {
            options.on_slice = [](const mem3d_progress *progress, void *user_data) noexcept -> bool {
                auto &running = *static_cast<Call *>(user_data);
                try {
                    return running.on_slice(*progress);
                } catch (...) {
                    running.thrown = std::current_exception();
                    return false;
                }
            };
        }
        if (what.on_mask) {
            options.on_mask = [](const mem3d_progress *progress, const uint8_t *mask, uint32_t rows, uint32_t columns,
                                 void *user_data) noexcept -> bool {
                auto &running = *static_cast<Call *>(user_data);
                try {
                    return running.on_mask(*progress, mask, rows, columns);
                } catch (...) {
                    running.thrown = std::current_exception();
                    return false;
                }
            };
        }
        uint32_t updated = 0;
        const Status status = mem3d_session_propagate(handle_.get(), &options, &updated);
        if (call.thrown) std::rethrow_exception(call.thrown);
        check(status);
        return updated;
    }

    /// Stops a running propagate() from any thread, or from its callback.
    void cancel() const { check(mem3d_session_cancel(handle_.get())); }

    // ---- session: quality ----

    /// One value per slice along `axis`, 0..1. Throws as read_mask().
    std::vector<float> read_quality(uint32_t segment, mem3d_axis axis) const
    {
        std::vector<float> quality(slice_count(axis));
        check(mem3d_session_read_quality(handle_.get(), segment, axis, quality.data(), quality.size()));
        return quality;
    }

    /// The slice to correct next, of one segment or (0) of all; none when all slices are annotated. Throws as
    /// read_mask(), for one segment.
    std::optional<mem3d_suggestion> suggest_slice(uint32_t segment = 0) const
    {
        auto suggestion = make<mem3d_suggestion>();
        check(mem3d_session_suggest_slice(handle_.get(), segment, &suggestion));
        if (!suggestion.found) return std::nullopt;
        return suggestion;
    }

    // ---- session: read ----

    /// One byte a voxel, 0 or 1. Throws an Error of #MEM3D_STATUS_INVALID_ARGUMENT for a segment without mask or
    /// interaction.
    std::vector<uint8_t> read_mask(uint32_t segment) const
    {
        std::vector<uint8_t> mask(voxels());
        check(mem3d_session_read_mask(handle_.get(), segment, mask.data(), mask.size()));
        return mask;
    }

    /// One byte a pixel, 0 or 1. Throws as read_mask().
    std::vector<uint8_t> read_slice_mask(uint32_t segment, mem3d_axis axis, uint32_t slice) const
    {
        std::vector<uint8_t> mask(slice_size(axis));
        check(mem3d_session_read_slice_mask(handle_.get(), segment, axis, slice, mask.data(), mask.size()));
        return mask;
    }

    /// One value a voxel, 0..1 in steps of 1/255; values under 3 % read as 0. Throws as read_mask().
    std::vector<float> read_probability(uint32_t segment) const
    {
        std::vector<float> probability(voxels());
        check(mem3d_session_read_probability(handle_.get(), segment, probability.data(), probability.size()));
        return probability;
    }

    std::vector<uint16_t> read_labels() const
    {
        std::vector<uint16_t> labels(voxels());
        check(mem3d_session_read_labels(handle_.get(), labels.data(), labels.size()));
        return labels;
    }

    std::vector<uint32_t> segments() const
    {
        return list([this](uint32_t *values, std::size_t capacity, std::size_t *count) {
            return mem3d_session_get_segments(handle_.get(), values, capacity, count);
        });
    }

    /// Slices that no propagation changes; none for a segment without mask or interaction.
    std::vector<uint32_t> annotated_slices(uint32_t segment, mem3d_axis axis) const
    {
        return list([this, segment, axis](uint32_t *values, std::size_t capacity, std::size_t *count) {
            return mem3d_session_get_annotated_slices(handle_.get(), segment, axis, values, capacity, count);
        });
    }

    /// Intensities that are mapped to 0 and 1 for the networks.
    std::pair<double, double> window() const
    {
        std::pair<double, double> ends;
        check(mem3d_session_get_window(handle_.get(), &ends.first, &ends.second));
        return ends;
    }

    /// The voxel index (depth, height, width, with fractions) of a position in mm (left, posterior, superior).
    Point index(const Point &lps_mm) const
    {
        Point found{};
        check(mem3d_session_get_index(handle_.get(), lps_mm.data(), found.data()));
        return found;
    }

    mem3d_memory_usage memory_usage() const
    {
        auto usage = make<mem3d_memory_usage>();
        check(mem3d_session_get_memory_usage(handle_.get(), &usage));
        return usage;
    }

    // ---- session: undo ----

    /// False when there was nothing to undo.
    bool undo()
    {
        bool changed = false;
        check(mem3d_session_undo(handle_.get(), &changed));
        return changed;
    }

    /// False when there was nothing to redo.
    bool redo()
    {
        bool changed = false;
        check(mem3d_session_redo(handle_.get(), &changed));
        return changed;
    }

    /// Deletes a segment; 0 for all. Throws as read_mask(), for one segment.
    void reset(uint32_t segment = 0) { check(mem3d_session_reset(handle_.get(), segment)); }

    // ---- session: save ----

    void save(const std::string &path) const { check(mem3d_session_save(handle_.get(), path.c_str())); }
    /// The options of the saved session (window, undo depth, cache, tuning) replace those given; model, device and
    /// `keep_cuda_cache` stay.
    void restore(const std::string &path) { check(mem3d_session_restore(handle_.get(), path.c_str())); }

    /// For calls of mem3d.h; stays owned by this object.
    mem3d_session *c_handle() const noexcept { return handle_.get(); }

private:
    struct Deleter {
        void operator()(mem3d_session *session) const noexcept { mem3d_session_free(session); }
    };

    std::size_t voxels() const noexcept { return shape_[0] * shape_[1] * shape_[2]; }

    /// A list whose length may change between two calls: `get(values, capacity, &count)` returns a status.
    template <class Get>
    static std::vector<uint32_t> list(Get get)
    {
        std::size_t count = 0;
        check(get(nullptr, std::size_t{0}, &count));
        std::vector<uint32_t> found;
        while (count > found.size()) {
            found.resize(count);
            try {
                check(get(found.data(), found.size(), &count));
                found.resize(count);
            } catch (const Error &) {
                check(get(nullptr, std::size_t{0}, &count));
                if (count <= found.size()) throw;
            }
        }
        return found;
    }

    std::unique_ptr<mem3d_session, Deleter> handle_;
    std::array<std::size_t, 3> shape_{};
};

} // namespace mem3d

#endif // MEM3D_HPP
