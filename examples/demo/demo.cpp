// A host program of mem3d: three rounds on a real CT through the C interface.
//
// The user draws once; mem3d segments the volume, says which slice most needs a correction, gets it, and segments
// again. What the user would do is recorded: the first interaction comes with the arguments, and each correction is
// the suggested slice of the reference. tools/demo.sh runs this program.
//
//   mem3d-demo VOLUME.nrrd REFERENCE.nrrd OUT_FOLDER MODEL|random AXIS SLICE KIND D,H,W...
//
// Text for people goes to the terminal; OUT_FOLDER gets a mask a round (round-N.nrrd) and session.json.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>

#include "mem3d.h"
#include "nrrd.hpp"

namespace {

constexpr uint32_t kSegment = 1;
constexpr int kRounds = 3;

void check(mem3d_status status, const char* what) {
    if (status != MEM3D_STATUS_OK) throw std::runtime_error(std::string(what) + ": " + mem3d_last_error());
}

struct FreeModel {
    void operator()(mem3d_model* model) const { mem3d_model_free(model); }
};
struct FreeSession {
    void operator()(mem3d_session* session) const { mem3d_session_free(session); }
};
using Model = std::unique_ptr<mem3d_model, FreeModel>;
using Session = std::unique_ptr<mem3d_session, FreeSession>;

Model load_model(const std::string& path) {
    mem3d_model* model = nullptr;
    if (path == "random") {
        check(mem3d_model_random(MEM3D_PRESET_COMPACT, 1, nullptr, &model), "making a random model");
    } else {
        check(mem3d_model_load(path.c_str(), nullptr, &model), "loading the model");
    }
    return Model(model);
}

Session open_session(const mem3d_model* model, const Nrrd& volume) {
    const mem3d_volume_view view = volume.view();
    mem3d_session* session = nullptr;
    check(mem3d_session_new(model, &view, nullptr, &session), "opening the session");
    return Session(session);
}

// Runs `work` and says how many seconds it took.
double seconds(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Redraws one line of the terminal after every slice.
bool show_progress(const mem3d_progress* progress, void*) {
    std::fprintf(stderr, "\r  propagating: slice %3u, %u of at most %u   ", progress->slice, progress->done,
                 progress->total);
    return true;
}

void propagate(mem3d_session* session, int32_t axis) {
    mem3d_propagate_options options = {};
    options.struct_size = sizeof options;
    options.axis_plus_one = axis + 1;
    options.on_slice = show_progress;
    const mem3d_status status = mem3d_session_propagate(session, &options, nullptr);
    std::fprintf(stderr, "\r%60s\r", "");
    check(status, "propagating");
}

int32_t kind_called(const std::string& name) {
    if (name == "scribble") return MEM3D_INTERACTION_KIND_SCRIBBLE;
    if (name == "box") return MEM3D_INTERACTION_KIND_BOX;
    if (name == "extreme_points") return MEM3D_INTERACTION_KIND_EXTREME_POINTS;
    if (name == "click") return MEM3D_INTERACTION_KIND_CLICK;
    throw std::runtime_error("there is no kind of interaction called " + name);
}

// Dice similarity coefficient: twice the common voxels over the sum of both.
double dice(const std::vector<uint8_t>& mask, const std::vector<uint8_t>& reference) {
    size_t both = 0, sum = 0;
    for (size_t i = 0; i < mask.size(); ++i) {
        both += mask[i] && reference[i];
        sum += size_t(mask[i] != 0) + size_t(reference[i] != 0);
    }
    return sum ? 2.0 * double(both) / double(sum) : 1.0;
}

// The pixels of one slice, row after row.
std::vector<uint8_t> cut_slice(const std::vector<uint8_t>& volume, const std::array<int64_t, 3>& shape, int32_t axis,
                               uint32_t slice) {
    std::vector<uint8_t> pixels;
    std::array<int64_t, 3> i{};
    for (i[0] = 0; i[0] < shape[0]; ++i[0]) {
        for (i[1] = 0; i[1] < shape[1]; ++i[1]) {
            for (i[2] = 0; i[2] < shape[2]; ++i[2]) {
                if (i[size_t(axis)] != int64_t(slice)) continue;
                pixels.push_back(volume[size_t((i[0] * shape[1] + i[1]) * shape[2] + i[2])]);
            }
        }
    }
    return pixels;
}

template <typename T>
std::string json_list(const std::vector<T>& values) {
    std::ostringstream out;
    for (size_t i = 0; i < values.size(); ++i) out << (i ? ", " : "[") << values[i];
    out << (values.empty() ? "[]" : "]");
    return out.str();
}

std::vector<float> quality(const mem3d_session* session, int32_t axis, size_t n_slices) {
    std::vector<float> values(n_slices);
    check(mem3d_session_quality(session, kSegment, axis, values.data(), values.size()), "reading the quality");
    return values;
}

std::vector<uint32_t> annotated(const mem3d_session* session, int32_t axis) {
    size_t count = 0;
    check(mem3d_session_annotated(session, kSegment, axis, nullptr, 0, &count), "counting the annotated slices");
    std::vector<uint32_t> slices(count);
    check(mem3d_session_annotated(session, kSegment, axis, slices.data(), count, &count), "the annotated slices");
    return slices;
}

void run(int argc, char** argv) {
    if (argc < 9) {
        throw std::runtime_error("usage: mem3d-demo VOLUME.nrrd REFERENCE.nrrd OUT_FOLDER MODEL|random AXIS SLICE KIND D,H,W...");
    }
    const std::string out = argv[3], model_path = argv[4];
    const int32_t axis = std::atoi(argv[5]);
    const uint32_t first_slice = uint32_t(std::atoi(argv[6]));
    std::vector<double> points;
    for (int i = 8; i < argc; ++i) {
        const auto point = nrrd_detail::numbers(argv[i]);
        points.insert(points.end(), point.begin(), point.end());
    }
    if (axis < 0 || axis > 2) throw std::runtime_error("AXIS is 0, 1 or 2");

    const Nrrd volume = read_nrrd(argv[1]);
    const Nrrd label = read_nrrd(argv[2]);
    if (label.shape != volume.shape || label.voxel_bytes != 1) {
        throw std::runtime_error("the reference must be an 8-bit mask on the volume's grid");
    }
    const std::vector<uint8_t> reference(label.voxels.begin(), label.voxels.end());
    std::printf("volume    %lld x %lld x %lld voxels (depth x height x width)\n", (long long)volume.shape[0],
                (long long)volume.shape[1], (long long)volume.shape[2]);

    const Model model = load_model(model_path);
    mem3d_model_info info = {};
    info.struct_size = sizeof info;
    check(mem3d_model_get_info(model.get(), &info), "asking the model");
    std::printf("mem3d     %s, model \"%s\" on %s\n", mem3d_version(), info.name, info.device);

    Session session;
    std::printf("session   opened in %.2f s\n", seconds([&] { session = open_session(model.get(), volume); }));

    mem3d_interaction interaction = {};
    interaction.struct_size = sizeof interaction;
    interaction.segment = kSegment;
    interaction.axis = axis;
    interaction.slice = first_slice;
    interaction.kind = kind_called(argv[7]);
    interaction.points = points.data();
    interaction.n_points = points.size() / 3;

    std::vector<uint8_t> mask(volume.voxel_count());
    std::vector<uint32_t> suggested;
    std::vector<std::string> rounds;
    for (int round = 1; round <= kRounds; ++round) {
        double drawing = 0;
        if (round == 1) {
            drawing = seconds([&] { check(mem3d_session_interact(session.get(), &interaction, nullptr, 0), "drawing"); });
            std::printf("\nround 1   %s drawn on slice %u\n", argv[7], first_slice);
        } else {
            const auto drawn = cut_slice(reference, volume.shape, axis, suggested.back());
            drawing = seconds([&] {
                check(mem3d_session_set_slice_mask(session.get(), kSegment, axis, suggested.back(), drawn.data(),
                                                   drawn.size()),
                      "correcting");
            });
            std::printf("\nround %d   slice %u corrected\n", round, suggested.back());
        }
        const double propagating = seconds([&] { propagate(session.get(), axis); });
        check(mem3d_session_read_mask(session.get(), kSegment, mask.data(), mask.size()), "reading the mask");
        const double dsc = dice(mask, reference);
        std::printf("          DSC %.4f   interaction %.2f s, propagation %.2f s\n", dsc, drawing, propagating);
        const std::string path = out + "/round-" + std::to_string(round) + ".nrrd";
        write_mask(path, volume, mask);
        std::printf("          %s\n", path.c_str());
        std::ostringstream json;
        json << "{\"round\": " << round << ", \"dsc\": " << dsc << ", \"interaction_seconds\": " << drawing
             << ", \"propagation_seconds\": " << propagating << "}";
        rounds.push_back(json.str());

        mem3d_suggestion next = {};
        next.struct_size = sizeof next;
        check(mem3d_session_suggest_slice(session.get(), kSegment, &next), "asking for a suggestion");
        if (!next.found) break;
        std::printf("          suggests slice %u next: estimated quality %.2f\n", next.slice, double(next.quality));
        suggested.push_back(next.slice);
    }

    std::ofstream json(out + "/session.json");
    json << "{\n  \"axis\": " << axis
         << ",\n  \"quality\": " << json_list(quality(session.get(), axis, size_t(volume.shape[size_t(axis)])))
         << ",\n  \"annotated\": " << json_list(annotated(session.get(), axis))
         << ",\n  \"suggested\": " << json_list(suggested) << ",\n  \"rounds\": " << json_list(rounds) << "\n}\n";
    if (!json.flush()) throw std::runtime_error(out + "/session.json: cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
    try {
        run(argc, argv);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "mem3d-demo: %s\n", error.what());
        return 1;
    }
}
