/* What is drawn: every kind, by points and by raster, and what bad drawings get. */
#include "check.h"

static void every_kind(mem3d_session *session)
{
    const double corners[] = {6, 12, 8, 6, 36, 32};
    const double extremes[] = {6, 12, 20, 6, 36, 20, 6, 24, 8, 6, 24, 32};
    const double click[] = {6, 24, 20};
    uint8_t mask[HEIGHT * WIDTH];
    mem3d_interaction drawn = stroke(1);
    memset(mask, 9, sizeof mask);
    CHECK_OK(mem3d_session_interact(session, &drawn, mask, sizeof mask));
    for (size_t i = 0; i < sizeof mask; i++) CHECK(mask[i] <= 1);
    CHECK(mask[24 * WIDTH + 20] == 1); /* under the stroke */

    drawn.kind = MEM3D_INTERACTION_KIND_BOX;
    drawn.points = corners;
    drawn.n_points = 2;
    CHECK_OK(mem3d_session_interact(session, &drawn, mask, sizeof mask));
    drawn.kind = MEM3D_INTERACTION_KIND_EXTREME_POINTS;
    drawn.points = extremes;
    drawn.n_points = 4;
    CHECK_OK(mem3d_session_interact(session, &drawn, mask, sizeof mask));
    drawn.kind = MEM3D_INTERACTION_KIND_CLICK;
    drawn.points = click;
    drawn.n_points = 1;
    CHECK_OK(mem3d_session_interact(session, &drawn, NULL, 0));
    drawn.negative = 1;
    CHECK_OK(mem3d_session_interact(session, &drawn, mask, sizeof mask));
    CHECK(mask[24 * WIDTH + 20] == 0);
}

static void a_raster_with_strides(mem3d_session *session)
{
    /* The slice along the width axis is depth x height; the raster is stored transposed. */
    uint8_t raster[HEIGHT][DEPTH];
    memset(raster, 0, sizeof raster);
    raster[24][6] = 255;
    mem3d_interaction drawn = stroke(3);
    drawn.axis = MEM3D_AXIS_WIDTH;
    drawn.slice = 20;
    drawn.points = NULL;
    drawn.n_points = 0;
    drawn.raster = &raster[0][0];
    drawn.raster_byte_strides[0] = 1;
    drawn.raster_byte_strides[1] = DEPTH;
    uint8_t mask[DEPTH * HEIGHT];
    CHECK_OK(mem3d_session_interact(session, &drawn, mask, sizeof mask));
    CHECK(mask[6 * HEIGHT + 24] == 1);
}

static void bad_drawings(mem3d_session *session)
{
    uint8_t mask[HEIGHT * WIDTH];
    memset(mask, 9, sizeof mask);
#define REFUSED(words) \
    CHECK_FAILS(mem3d_session_interact(session, &drawn, mask, sizeof mask), MEM3D_STATUS_INVALID_ARGUMENT, words)
    mem3d_interaction drawn = stroke(0);
    REFUSED("segment");
    drawn = stroke(70000);
    REFUSED("segment");
    drawn = stroke(2);
    drawn.axis = 0;
    REFUSED("interaction.axis is 0");
    drawn.axis = 4;
    REFUSED("interaction.axis is 4");
    drawn = stroke(2);
    drawn.slice = DEPTH;
    REFUSED("12");
    drawn = stroke(2);
    drawn.kind = 4;
    REFUSED("interaction.kind is 4");
    drawn = stroke(2);
    drawn.negative = 2;
    REFUSED("interaction.negative is 2");
    drawn = stroke(2);
    drawn.points = NULL;
    REFUSED("interaction.points is NULL");
    drawn = stroke(2);
    drawn.n_points = 0;
    REFUSED("");
    drawn = stroke(2);
    drawn.n_points = SIZE_MAX / 2;
    REFUSED("cannot hold");
    drawn = stroke(2);
    drawn.raster = mask;
    REFUSED("points and a raster");
    drawn = stroke(2);
    drawn.kind = MEM3D_INTERACTION_KIND_EXTREME_POINTS;
    REFUSED(""); /* three of them */
    const double outside[] = {6, 24, 400};
    drawn = stroke(2);
    drawn.kind = MEM3D_INTERACTION_KIND_CLICK;
    drawn.points = outside;
    drawn.n_points = 1;
    REFUSED("");
    const double flat[] = {6, 24, 20, 6, 24, 20};
    drawn = stroke(2);
    drawn.kind = MEM3D_INTERACTION_KIND_BOX;
    drawn.points = flat;
    drawn.n_points = 2;
    REFUSED("");
    drawn = stroke(2);
    CHECK_FAILS(mem3d_session_interact(session, &drawn, mask, 7), MEM3D_STATUS_INVALID_ARGUMENT, "mask holds 7 values");
    for (size_t i = 0; i < sizeof mask; i++) CHECK(mask[i] == 9);
    size_t count = 9;
    CHECK_OK(mem3d_session_get_segments(session, NULL, 0, &count));
    CHECK(count == 2); /* 1 and 3: nothing was left of segment 2 */
}

/* The same click by its voxel index and by its position; view_of() has 3 x 1 x 1 mm and the default axes. */
static void positions_are_converted(const mem3d_model *model)
{
    int16_t *voxels = malloc(sizeof(int16_t) * VOXELS);
    CHECK(voxels != NULL);
    fill_ball(voxels);
    mem3d_volume_view view = view_of(voxels);
    const double origin[] = {-20.0, 15.0, 100.0};
    memcpy(view.origin_mm, origin, sizeof origin);
    mem3d_session *session = NULL;
    CHECK_OK(mem3d_session_new(model, &view, NULL, &session));
    free(voxels);
    const double voxel[] = {6, 24, 20}, position[] = {-20.0 + 20, 15.0 + 24, 100.0 + 3 * 6 + 0.5};
    double found[3];
    CHECK_OK(mem3d_session_get_index(session, position, found));
    CHECK(found[0] > 6.16 && found[0] < 6.17 && found[1] == 24.0 && found[2] == 20.0);
    static uint8_t by_index[HEIGHT * WIDTH], by_position[HEIGHT * WIDTH];
    mem3d_interaction drawn = stroke(1);
    drawn.kind = MEM3D_INTERACTION_KIND_CLICK;
    drawn.n_points = 1;
    drawn.points = voxel;
    CHECK_OK(mem3d_session_interact(session, &drawn, by_index, sizeof by_index));
    drawn.segment = 2;
    drawn.slice = 0; /* not read */
    drawn.points = position;
    drawn.coordinates = MEM3D_COORDINATES_LPS_MM;
    CHECK_OK(mem3d_session_interact(session, &drawn, by_position, sizeof by_position));
    CHECK(memcmp(by_index, by_position, sizeof by_index) == 0);
    CHECK_OK(mem3d_session_read_slice_mask(session, 2, MEM3D_AXIS_DEPTH, 6, by_index, sizeof by_index));
    CHECK(memcmp(by_index, by_position, sizeof by_index) == 0);
    const double elsewhere[] = {0.0, 0.0, 0.0};
    drawn.points = elsewhere;
    CHECK(mem3d_session_interact(session, &drawn, NULL, 0) == MEM3D_STATUS_INVALID_ARGUMENT);
    drawn.coordinates = 2;
    CHECK_FAILS(mem3d_session_interact(session, &drawn, NULL, 0), MEM3D_STATUS_INVALID_ARGUMENT,
                "interaction.coordinates is 2");
    mem3d_session_free(session);
}

int main(void)
{
    mem3d_model *model = small_model();
    mem3d_session *session = small_session(model);
    positions_are_converted(model);
    mem3d_model_free(model); /* the session keeps what it needs */
    every_kind(session);
    a_raster_with_strides(session);
    bad_drawings(session);
    mem3d_session_free(session);
    return 0;
}
