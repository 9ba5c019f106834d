// Lists that another thread changes between two calls of the C++ wrapper, on a library that is replaced here.
#include <mem3d.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                        \
        }                                                                        \
    } while (0)

/// How many segments there are at each call; the last number holds from then on.
static std::vector<std::size_t> counts;
static std::size_t calls = 0;
/// Whether lists are refused whatever their room is.
static bool broken = false;

extern "C" {

mem3d_status mem3d_session_get_segments(const mem3d_session *, uint32_t *segments, size_t capacity, size_t *count)
{
    const std::size_t there = counts[calls < counts.size() ? calls : counts.size() - 1];
    ++calls;
    if (segments && (broken || capacity < there)) return MEM3D_STATUS_INVALID_ARGUMENT;
    for (std::size_t i = 0; segments && i < there; ++i) segments[i] = static_cast<uint32_t>(i) + 1;
    *count = there;
    return MEM3D_STATUS_OK;
}

const char *mem3d_last_error(void) { return "the list has no room"; }

mem3d_status mem3d_model_random(int32_t, int64_t, const mem3d_model_options *, mem3d_model **model)
{
    *model = static_cast<mem3d_model *>(std::malloc(1));
    return MEM3D_STATUS_OK;
}

mem3d_status mem3d_session_new(const mem3d_model *, const mem3d_volume_view *, const mem3d_session_options *,
                               mem3d_session **session)
{
    *session = static_cast<mem3d_session *>(std::malloc(1));
    return MEM3D_STATUS_OK;
}

void mem3d_model_free(mem3d_model *model) { std::free(model); }

void mem3d_session_free(mem3d_session *session) { std::free(session); }
}

static std::vector<uint32_t> segments(const mem3d::Session &session, std::vector<std::size_t> there)
{
    counts = std::move(there);
    calls = 0;
    return session.segments();
}

int main()
{
    using List = std::vector<uint32_t>;
    const mem3d::Model model = mem3d::Model::random();
    const float voxels[1] = {};
    const mem3d::Session session(model, mem3d::view(voxels, {1, 1, 1}));
    CHECK(segments(session, {2}) == (List{1, 2}) && calls == 2);
    CHECK(segments(session, {0}).empty());
    // Fewer by the second call: none besides those that are there.
    CHECK(segments(session, {3, 1}) == (List{1}));
    CHECK(segments(session, {3, 0}).empty());
    // More by the second and the fourth call, which are refused.
    CHECK(segments(session, {1, 2, 2, 3, 4}) == (List{1, 2, 3, 4}));
    broken = true;
    try {
        segments(session, {2});
        CHECK(!"nothing was thrown");
    } catch (const mem3d::Error &error) {
        CHECK(error.status() == MEM3D_STATUS_INVALID_ARGUMENT && std::string(error.what()) == "the list has no room");
    }
    return 0;
}
