// The C++ wrapper: every method once, errors as exceptions, exceptions through callbacks.
#include <mem3d.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                        \
        }                                                                        \
    } while (0)

template <class Exception, class Body>
std::string thrown(Body body)
{
    try {
        body();
    } catch (const Exception &error) {
        return error.what();
    }
    CHECK(!"nothing was thrown");
    return {};
}

static_assert(std::is_nothrow_move_constructible_v<mem3d::Session> && !std::is_copy_constructible_v<mem3d::Session>);
static_assert(std::is_nothrow_move_constructible_v<mem3d::Model> && !std::is_copy_constructible_v<mem3d::Model>);

int main()
{
    CHECK(mem3d::version() == MEM3D_VERSION && mem3d::abi_version() == MEM3D_ABI_VERSION);
    CHECK(mem3d::libtorch_version().rfind("2.11.", 0) == 0);
    CHECK(mem3d::devices().front().id == "cpu");
    mem3d::set_thread_count(1);
    CHECK(mem3d::thread_count() == 1);
    mem3d::set_thread_count(0);
    mem3d::set_log_callback([](mem3d_log_level, const char *) { throw 1; }, MEM3D_LOG_LEVEL_TRACE);

    try {
        mem3d::Model::load("no/such/file");
        CHECK(!"loaded");
    } catch (const mem3d::Error &error) {
        CHECK(error.status() == MEM3D_STATUS_IO && std::strstr(error.what(), "no/such/file"));
    }
    auto model = mem3d::Model::random(MEM3D_PRESET_COMPACT, 1, "cpu");
    CHECK(model.info().preset == MEM3D_PRESET_COMPACT);

    std::vector<float> voxels(12 * 48 * 40);
    for (std::size_t i = 0; i < voxels.size(); ++i)
        voxels[i] = static_cast<float>(i % 40 > 10 && i % 40 < 30 ? 100 : i % 7);
    mem3d::Session first(model, mem3d::view(voxels.data(), {12, 48, 40}, {3, 1, 1}));
    mem3d::Session session = std::move(first);
    CHECK((session.shape() == std::array<std::size_t, 3>{12, 48, 40}) && session.c_handle() && !first.c_handle());

    mem3d::Interaction stroke;
    stroke.slice = 6;
    stroke.points = {{6, 18, 14}, {6, 30, 26}};
    CHECK(session.interact(stroke).size() == 48 * 40);
    stroke.points.clear();
    stroke.raster.assign(48 * 40, 0);
    stroke.raster[24 * 40 + 20] = 1;
    CHECK(session.interact(stroke)[24 * 40 + 20] == 1);
    stroke.raster.pop_back();
    thrown<std::invalid_argument>([&] { session.interact(stroke); });
    std::vector<uint8_t> square(48 * 40);
    for (int h = 14; h < 34; ++h)
        for (int w = 11; w < 30; ++w) square[static_cast<std::size_t>(h * 40 + w)] = 1;
    session.set_slice_mask(1, MEM3D_AXIS_DEPTH, 6, square);
    CHECK(session.read_slice_mask(1, MEM3D_AXIS_DEPTH, 6) == square);

    // An oblique image of ITK: x to the back, y upwards, z to the left, by the columns of the matrix.
    const auto itk = mem3d::itk_view(voxels.data(), {40, 48, 12}, {1, 1, 3}, {5, 6, 7}, {0, 0, 1, 1, 0, 0, 0, 1, 0});
    CHECK(itk.shape[0] == 12 && itk.shape[2] == 40 && itk.spacing_mm[0] == 3 && itk.origin_mm[2] == 7);
    const std::vector<double> axes(itk.direction, itk.direction + 9), wanted{1, 0, 0, 0, 0, 1, 0, 1, 0};
    CHECK(axes == wanted);
    mem3d::Session placed(model, itk);
    // Voxel x 4, y 5, z 2 lies at origin + 4 back + 5 up + 2 * 3 left.
    const mem3d::Point index = placed.index({5 + 6, 6 + 4, 7 + 5});
    CHECK(std::abs(index[0] - 2) + std::abs(index[1] - 5) + std::abs(index[2] - 4) < 1e-9);
    mem3d::Interaction click;
    click.kind = MEM3D_INTERACTION_KIND_CLICK;
    click.coordinates = MEM3D_COORDINATES_LPS_MM;
    click.points = {{11, 10, 12}};
    const auto clicked = placed.interact(click);
    CHECK(clicked[5 * 40 + 4] == 1 && placed.read_slice_mask(1, MEM3D_AXIS_DEPTH, 2) == clicked);
    const auto refused = [&](const std::array<double, 9> &direction) {
        return thrown<std::invalid_argument>(
            [&] { mem3d::itk_view(voxels.data(), {40, 48, 12}, {1, 1, 3}, {0, 0, 0}, direction); });
    };
    CHECK(refused({1, 0, 0, 0, 1, 0, 0, 0, -1}).find("left-handed") != std::string::npos);
    CHECK(refused({2, 0, 0, 0, 1, 0, 0, 0, 1}).find("unit vectors") != std::string::npos);
    CHECK(refused({std::nan(""), 0, 0, 0, 1, 0, 0, 0, 1}).find("unit vectors") != std::string::npos);

    mem3d::Propagation what;
    what.on_mask = [](const mem3d_progress &, const uint8_t *, uint32_t rows, uint32_t columns) -> bool {
        CHECK(rows == 48 && columns == 40);
        throw std::out_of_range("from the mask");
    };
    CHECK(thrown<std::out_of_range>([&] { session.propagate(what); }) == "from the mask");
    what.on_mask = nullptr;
    what.on_slice = [](const mem3d_progress &) -> bool { throw std::out_of_range("from the callback"); };
    CHECK(thrown<std::out_of_range>([&] { session.propagate(what); }) == "from the callback");
    what.on_slice = [](const mem3d_progress &) { return false; };
    thrown<mem3d::CancelledError>([&] { session.propagate(what); });
    what.on_slice = [&](const mem3d_progress &) {
        session.undo();
        return true;
    };
    thrown<mem3d::BusyError>([&] { session.propagate(what); });
    what.on_slice = [&](const mem3d_progress &) {
        std::thread([&] { session.cancel(); }).join();
        return true;
    };
    thrown<mem3d::CancelledError>([&] { session.propagate(what); });
    what.on_slice = nullptr;
    what.axis = MEM3D_AXIS_DEPTH;
    what.segment = 1;
    CHECK(session.propagate(what) >= 1);
    CHECK(session.propagate() < 12);

    CHECK(session.segments() == std::vector<uint32_t>{1});
    CHECK(session.annotated_slices(1, MEM3D_AXIS_DEPTH) == std::vector<uint32_t>{6});
    CHECK(session.annotated_slices(1, MEM3D_AXIS_WIDTH).empty());
    const auto quality = session.read_quality(1, MEM3D_AXIS_DEPTH);
    CHECK(quality.size() == 12 && quality[6] == 1.0f);
    CHECK(session.slice_count(MEM3D_AXIS_HEIGHT) == 48 && session.slice_size(MEM3D_AXIS_WIDTH) == 12 * 48);
    thrown<std::invalid_argument>([&] { session.slice_size(MEM3D_AXIS_LAST_DRAWN); });
    thrown<std::invalid_argument>([&] { session.read_quality(1, MEM3D_AXIS_WIDTH + 1); });
    const auto next = session.suggest_slice();
    CHECK(next && next->segment == 1 && next->axis == MEM3D_AXIS_DEPTH && next->slice != 6);
    CHECK(next->quality == quality[next->slice]);
    const auto mask = session.read_mask(1);
    CHECK(session.read_probability(1).size() == mask.size() && session.read_labels().size() == mask.size());
    session.set_mask(2, mask);
    CHECK(session.read_mask(2) == mask);
    session.accept(2, MEM3D_AXIS_DEPTH, 6);
    CHECK(session.undo() && session.redo() && !session.redo());
    CHECK(session.window().first < session.window().second);
    CHECK(session.memory_usage().volume_bytes == voxels.size() * sizeof(float));
    const char *path = "test_wrapper_saved.m3s";
    session.save(path);
    session.reset();
    CHECK(session.segments().empty());
    session.restore(path);
    CHECK(session.read_mask(2) == mask);
    session.reset(2);
    std::remove(path);
    mem3d::set_log_callback({});
    return 0;
}
