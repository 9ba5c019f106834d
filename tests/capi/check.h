/* What every C test shares: checks that say where they failed, and a small session to test on. */
#ifndef MEM3D_TEST_CHECK_H
#define MEM3D_TEST_CHECK_H

#include <mem3d.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                          \
    do {                                                                                                          \
        if (!(condition)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s\n  last error: %s\n", __FILE__, __LINE__, #condition, mem3d_last_error()); \
            exit(1);                                                                                              \
        }                                                                                                         \
    } while (0)

#define CHECK_OK(call) CHECK((call) == MEM3D_STATUS_OK)

/* The call is refused with this status, and its text holds these words. */
#define CHECK_FAILS(call, status, words)                    \
    do {                                                    \
        CHECK((call) == (status));                          \
        CHECK(strstr(mem3d_last_error(), (words)) != NULL); \
    } while (0)

#define ZEROED(type, name)         \
    type name;                     \
    memset(&name, 0, sizeof name); \
    name.struct_size = (uint32_t)sizeof name

enum { DEPTH = 12, HEIGHT = 48, WIDTH = 40, VOXELS = DEPTH * HEIGHT * WIDTH };

static inline mem3d_model *small_model(void)
{
    ZEROED(mem3d_model_options, options);
    options.device = "cpu";
    mem3d_model *model = NULL;
    CHECK_OK(mem3d_model_random(MEM3D_PRESET_COMPACT, 1, &options, &model));
    CHECK(model != NULL);
    return model;
}

/* A bright ball of radius 12 mm around voxel (6, 24, 20). */
static inline void fill_ball(int16_t *voxels)
{
    for (int d = 0; d < DEPTH; d++)
        for (int h = 0; h < HEIGHT; h++)
            for (int w = 0; w < WIDTH; w++) {
                int z = 3 * (d - 6), y = h - 24, x = w - 20;
                voxels[(d * HEIGHT + h) * WIDTH + w] = x * x + y * y + z * z < 144 ? 300 : (int16_t)((h * 7 + w) % 50);
            }
}

static inline mem3d_volume_view view_of(const int16_t *voxels)
{
    ZEROED(mem3d_volume_view, view);
    view.scalar_type = MEM3D_SCALAR_TYPE_I16;
    view.data = voxels;
    view.shape[0] = DEPTH;
    view.shape[1] = HEIGHT;
    view.shape[2] = WIDTH;
    view.spacing_mm[0] = 3.0;
    view.spacing_mm[1] = 1.0;
    view.spacing_mm[2] = 1.0;
    return view;
}

static inline mem3d_session *session_with(const mem3d_model *model, const mem3d_session_options *options)
{
    int16_t *voxels = malloc(sizeof(int16_t) * VOXELS);
    CHECK(voxels != NULL);
    fill_ball(voxels);
    const mem3d_volume_view view = view_of(voxels);
    mem3d_session *session = NULL;
    CHECK_OK(mem3d_session_new(model, &view, options, &session));
    free(voxels); /* the library has its own copy */
    return session;
}

static inline mem3d_session *small_session(const mem3d_model *model) { return session_with(model, NULL); }

static const double stroke_points[] = {6, 18, 14, 6, 24, 20, 6, 30, 26};

static inline mem3d_interaction stroke(uint32_t segment)
{
    ZEROED(mem3d_interaction, drawn);
    drawn.segment = segment;
    drawn.axis = MEM3D_AXIS_DEPTH;
    drawn.slice = 6;
    drawn.kind = MEM3D_INTERACTION_KIND_SCRIBBLE;
    drawn.points = stroke_points;
    drawn.n_points = 3;
    return drawn;
}

/* The ball on slice `d`, one byte per pixel. */
static inline void fill_ball_slice(uint8_t *mask, int d)
{
    for (int h = 0; h < HEIGHT; h++)
        for (int w = 0; w < WIDTH; w++) {
            int z = 3 * (d - 6), y = h - 24, x = w - 20;
            mask[h * WIDTH + w] = x * x + y * y + z * z < 144;
        }
}

/* A mask with a target that random weights cannot lose: the ball itself on its middle slice. */
static inline void draw_ball_slice(mem3d_session *session, uint32_t segment)
{
    uint8_t mask[HEIGHT * WIDTH];
    fill_ball_slice(mask, 6);
    CHECK_OK(mem3d_session_set_slice_mask(session, segment, MEM3D_AXIS_DEPTH, 6, mask, sizeof mask));
}

#endif
