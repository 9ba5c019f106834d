// A destructor that runs after main() logs: the function of set_log_callback() is still there.
#include <mem3d.hpp>

#include <cstdio>
#include <cstdlib>
#include <optional>

static bool gone = false;
static int messages = 0;

/// Held by the log function.
struct Alive {
    ~Alive() { gone = true; }
};

/// Destroyed last, since it was there before the first set_log_callback().
struct Host {
    std::optional<mem3d::Model> model;

    ~Host()
    {
        const int before = messages;
        const int16_t voxels[8] = {};
        auto mirrored = mem3d::view(voxels, {2, 2, 2});
        mirrored.direction[2] = mirrored.direction[4] = 1; // depth up, height back
        mirrored.direction[6] = -1;                        // width to the right
        try {
            mem3d::Session session(*model, mirrored); // warns of the mirrored axes
        } catch (const mem3d::Error &) {
        }
        if (messages > before && !gone) return;
        std::fprintf(stderr, "%d messages after main(), function %s\n", messages - before, gone ? "gone" : "there");
        std::_Exit(1);
    }
};

static Host host;

int main()
{
    host.model = mem3d::Model::random(MEM3D_PRESET_COMPACT, 1, "cpu");
    mem3d::set_log_callback([alive = std::make_shared<Alive>()](mem3d_log_level, const char *) { ++messages; });
    return 0;
}
