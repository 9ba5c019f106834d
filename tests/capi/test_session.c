/* Sessions: opened with and without options, and a round from the first stroke to the mask. */
#include "check.h"

static void options_are_checked(const mem3d_model *model)
{
    static int16_t voxels[VOXELS];
    fill_ball(voxels);
    const mem3d_volume_view view = view_of(voxels);
    mem3d_session *session = NULL;
#define REFUSED(field, value, words)                                                                            \
    do {                                                                                                        \
        ZEROED(mem3d_session_options, options);                                                                 \
        options.field = value;                                                                                  \
        CHECK_FAILS(mem3d_session_new(model, &view, &options, &session), MEM3D_STATUS_INVALID_ARGUMENT, words); \
    } while (0)
    REFUSED(replace_non_finite, 2, "options.replace_non_finite is 2");
    REFUSED(whole_slice, 2, "options.whole_slice is 2");
    REFUSED(keep_cuda_cache, 2, "options.keep_cuda_cache is 2");
    REFUSED(undo_depth, -7, "options.undo_depth is -7");
    REFUSED(min_probability, 1.5, "options.min_probability is 1.5");
    REFUSED(min_area_fraction, -0.5, "options.min_area_fraction is -0.5");
    REFUSED(min_presence, 2.0, "options.min_presence is 2");
    REFUSED(roi_scale, 0.5, "roi_scale is 0.5");
    CHECK(session == NULL);
    ZEROED(mem3d_session_options, options);
    options.window_low = -100.0;
    options.window_high = 250.0;
    CHECK_OK(mem3d_session_new(model, &view, &options, &session));
    double low = 0, high = 0;
    CHECK_OK(mem3d_session_get_window(session, &low, &high));
    CHECK(low == -100.0 && high == 250.0);
    mem3d_session_free(session);
}

/* Spacings out of all proportion would give regions of millions of pixels. */
static void spacings_are_in_proportion(const mem3d_model *model)
{
    static int16_t voxels[VOXELS];
    fill_ball(voxels);
    const double bad[][3] = {{1, 1, 1e-300}, {1, 1, 1e-5}, {1e9, 1, 1}, {5e-324, 1, 1}, {1e-7, 1e-7, 1e-7}};
    mem3d_session *session = NULL;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        mem3d_volume_view view = view_of(voxels);
        memcpy(view.spacing_mm, bad[k], sizeof bad[k]);
        CHECK_FAILS(mem3d_session_new(model, &view, NULL, &session), MEM3D_STATUS_INVALID_ARGUMENT, "spacing");
    }
    mem3d_volume_view view = view_of(voxels); /* as far apart as spacings may be */
    view.spacing_mm[0] = 1000.0;
    CHECK_OK(mem3d_session_new(model, &view, NULL, &session));
    const mem3d_interaction drawn = stroke(1);
    CHECK_OK(mem3d_session_interact(session, &drawn, NULL, 0));
    mem3d_session_free(session);
}

int main(void)
{
    mem3d_model *model = small_model();
    options_are_checked(model);
    spacings_are_in_proportion(model);
    mem3d_session *session = small_session(model);
    const mem3d_interaction drawn = stroke(1);
    CHECK_OK(mem3d_session_interact(session, &drawn, NULL, 0));
    draw_ball_slice(session, 1);
    uint8_t few[3] = {0};
    CHECK_FAILS(mem3d_session_set_slice_mask(session, 1, MEM3D_AXIS_DEPTH, 6, few, 3), MEM3D_STATUS_INVALID_ARGUMENT,
                "exactly 1920");
    uint32_t updated = 0;
    CHECK_OK(mem3d_session_propagate(session, NULL, &updated));
    CHECK(updated >= 1 && updated < DEPTH);
    mem3d_session_free(session);
    mem3d_session_free(NULL);
    mem3d_model_free(model);
    return 0;
}
