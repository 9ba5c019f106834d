// A host program of mem3d: three rounds on a real CT through the C interface.
//
// The user draws once; mem3d segments the volume, suggests the slice to correct, gets a correction, and segments
// again. What the user would do is recorded: the first interaction comes with the arguments, and each correction is
// the suggested slice of the reference. tools/demo.sh runs this program.
//
//   mem3d-demo VOLUME.nrrd REFERENCE.nrrd OUT_FOLDER MODEL|random AXIS SLICE KIND D,H,W...
//
// Text for people goes to the terminal; OUT_FOLDER gets a mask a round (round-N.nrrd) and session.json.

#include <mem3d.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "nrrd.hpp"

namespace {

constexpr uint32_t kSegment = 1;
constexpr int kRounds = 3;

// Runs `work` and returns its seconds.
template <typename Work>
double seconds(Work work)
{
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Redraws one line of a terminal after every slice; in a log, one line in ten slices.
bool show_progress(const mem3d_progress &progress)
{
    const bool terminal = isatty(fileno(stderr));
    if (terminal || progress.done % 10 == 0) {
        std::fprintf(stderr, "%s          slice %3u, %u of at most %u   %s", terminal ? "\r" : "", progress.slice,
                     progress.done, progress.total, terminal ? "" : "\n");
    }
    return true;
}

void end_progress()
{
    if (isatty(fileno(stderr))) std::fprintf(stderr, "\r%60s\r", "");
}

mem3d_interaction_kind kind_called(const std::string &name)
{
    if (name == "scribble") return MEM3D_INTERACTION_KIND_SCRIBBLE;
    if (name == "box") return MEM3D_INTERACTION_KIND_BOX;
    if (name == "extreme_points") return MEM3D_INTERACTION_KIND_EXTREME_POINTS;
    if (name == "click") return MEM3D_INTERACTION_KIND_CLICK;
    throw std::runtime_error("there is no kind of interaction called " + name);
}

// Dice similarity coefficient: twice the common voxels over the sum of both.
double dice(const std::vector<uint8_t> &mask, const std::vector<uint8_t> &reference)
{
    size_t both = 0, sum = 0;
    for (size_t i = 0; i < mask.size(); ++i) {
        both += mask[i] && reference[i];
        sum += size_t(mask[i] != 0) + size_t(reference[i] != 0);
    }
    return sum ? 2.0 * double(both) / double(sum) : 1.0;
}

// The pixels of one slice, row after row.
std::vector<uint8_t> cut_slice(const std::vector<uint8_t> &volume, const std::array<int64_t, 3> &shape, mem3d_axis axis,
                               uint32_t slice)
{
    std::vector<uint8_t> pixels;
    std::array<int64_t, 3> i{};
    for (i[0] = 0; i[0] < shape[0]; ++i[0]) {
        for (i[1] = 0; i[1] < shape[1]; ++i[1]) {
            for (i[2] = 0; i[2] < shape[2]; ++i[2]) {
                if (i[static_cast<size_t>(axis - MEM3D_AXIS_DEPTH)] != int64_t(slice)) continue;
                pixels.push_back(volume[size_t((i[0] * shape[1] + i[1]) * shape[2] + i[2])]);
            }
        }
    }
    return pixels;
}

template <typename T>
std::string json_list(const std::vector<T> &values)
{
    std::ostringstream out;
    for (size_t i = 0; i < values.size(); ++i) out << (i ? ", " : "[") << values[i];
    out << (values.empty() ? "[]" : "]");
    return out.str();
}

mem3d::Interaction interaction_of(char **arguments, int count)
{
    mem3d::Interaction drawn;
    drawn.segment = kSegment;
    const int axis = std::atoi(arguments[0]);
    if (axis < 0 || axis > 2) throw std::runtime_error("AXIS is 0, 1 or 2");
    drawn.axis = MEM3D_AXIS_DEPTH + axis;
    drawn.slice = static_cast<uint32_t>(std::atoi(arguments[1]));
    drawn.kind = kind_called(arguments[2]);
    for (int i = 3; i < count; ++i) {
        const auto values = nrrd_detail::numbers(arguments[i]);
        if (values.size() != 3) throw std::runtime_error("a point is three numbers: depth, height, width");
        drawn.points.push_back({values[0], values[1], values[2]});
    }
    return drawn;
}

void run(int argc, char **argv)
{
    if (argc < 9) {
        throw std::runtime_error(
            "usage: mem3d-demo VOLUME.nrrd REFERENCE.nrrd OUT_FOLDER MODEL|random AXIS SLICE KIND D,H,W...");
    }
    const std::string out = argv[3], model_path = argv[4];
    const mem3d::Interaction first = interaction_of(argv + 5, argc - 5);
    const Nrrd volume = read_nrrd(argv[1]);
    const Nrrd label = read_nrrd(argv[2]);
    if (label.shape != volume.shape || label.voxel_bytes != 1) {
        throw std::runtime_error("the reference must be an 8-bit mask on the volume's grid");
    }
    const std::vector<uint8_t> reference(label.voxels.begin(), label.voxels.end());

    const auto model = model_path == "random" ? mem3d::Model::random() : mem3d::Model::load(model_path);
    std::printf("mem3d     %s, model \"%s\" on %s\n", mem3d::version().c_str(), model.info().name, model.info().device);
    std::optional<mem3d::Session> opened;
    const double opening = seconds([&] { opened.emplace(model, volume.view()); });
    mem3d::Session &session = *opened;
    std::printf("volume    %zu x %zu x %zu voxels (depth x height x width), opened in %.2f s\n", session.shape()[0],
                session.shape()[1], session.shape()[2], opening);

    std::vector<uint32_t> suggested;
    std::vector<std::string> rounds;
    for (int round = 1; round <= kRounds; ++round) {
        double drawing = 0;
        if (round == 1) {
            drawing = seconds([&] { session.interact(first); });
            std::printf("\nround 1   %s drawn on slice %u\n", argv[7], first.slice);
        } else {
            const uint32_t slice = suggested.back();
            const auto corrected = cut_slice(reference, volume.shape, first.axis, slice);
            drawing = seconds([&] { session.set_slice_mask(kSegment, first.axis, slice, corrected); });
            std::printf("\nround %d   slice %u corrected\n", round, slice);
        }
        std::fflush(stdout);
        mem3d::Propagation all;
        all.axis = first.axis;
        all.on_slice = show_progress;
        const double propagating = seconds([&] { session.propagate(all); });
        end_progress();

        const auto mask = session.read_mask(kSegment);
        const double dsc = dice(mask, reference);
        const std::string path = out + "/round-" + std::to_string(round) + ".nrrd";
        write_mask(path, volume, mask);
        std::printf("          DSC %.4f after %.2f s (interaction %.2f s, propagation %.2f s)\n          %s\n", dsc,
                    drawing + propagating, drawing, propagating, path.c_str());
        std::ostringstream json;
        json << "{\"round\": " << round << ", \"dsc\": " << dsc << ", \"interaction_seconds\": " << drawing
             << ", \"propagation_seconds\": " << propagating << "}";
        rounds.push_back(json.str());

        const auto next = session.suggest_slice(kSegment);
        if (!next) break;
        std::printf("          suggests to correct slice %u, of estimated quality %.2f\n", next->slice,
                    static_cast<double>(next->quality));
        suggested.push_back(next->slice);
    }

    std::ofstream json(out + "/session.json");
    json << "{\n  \"axis\": " << first.axis - MEM3D_AXIS_DEPTH
         << ",\n  \"quality\": " << json_list(session.read_quality(kSegment, first.axis))
         << ",\n  \"annotated\": " << json_list(session.annotated_slices(kSegment, first.axis))
         << ",\n  \"suggested\": " << json_list(suggested) << ",\n  \"rounds\": " << json_list(rounds) << "\n}\n";
    if (!json.flush()) throw std::runtime_error(out + "/session.json: cannot be written");
}

} // namespace

int main(int argc, char **argv)
{
    try {
        run(argc, argv);
        return 0;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "mem3d-demo: %s\n", error.what());
        return 1;
    }
}
