// A bright ball in a small volume: draw one stroke, propagate, follow the suggestion.
// Usage: hello [MODEL.safetensors]; without a model, random weights show the calls (their masks mean nothing).
#include <mem3d.hpp>

#include <cstdio>

int main(int argc, char **argv)
try {
    const std::array<int64_t, 3> shape{12, 48, 40};
    std::vector<int16_t> voxels;
    for (int d = 0; d < 12; ++d)
        for (int h = 0; h < 48; ++h)
            for (int w = 0; w < 40; ++w) {
                const int z = 3 * (d - 6), y = h - 24, x = w - 20;
                voxels.push_back(x * x + y * y + z * z < 144 ? 300 : 0);
            }

    const auto model = argc > 1 ? mem3d::Model::load(argv[1]) : mem3d::Model::random();
    mem3d::Session session(model, mem3d::view(voxels.data(), shape, {3.0, 1.0, 1.0}));

    mem3d::Interaction stroke;
    stroke.slice = 6;
    stroke.points = {{6, 18, 14}, {6, 24, 20}, {6, 30, 26}}; // depth, height, width
    session.interact(stroke);

    mem3d::Propagation all;
    all.on_slice = [](const mem3d_progress &p) {
        std::printf("\r%u of %u slices", p.done, p.total);
        return true; // false would stop
    };
    const auto updated = session.propagate(all);
    const auto mask = session.read_mask(1);
    std::printf("\n%u slices updated, %zu voxels\n", updated, mask.size());
    if (const auto next = session.suggest_slice()) std::printf("correct slice %u next\n", next->slice);
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
