/* Propagation: progress, stopping from the callback, calls and freeing from inside it, the range, and 3D refinement. */
#include "check.h"

struct watch {
    mem3d_session *session;
    uint32_t calls, stop_after;
    uint32_t last_total;
    uint32_t masks;
};

static bool on_slice(const mem3d_progress *progress, void *user_data)
{
    struct watch *watch = user_data;
    CHECK(progress->done == watch->calls + 1);
    CHECK(progress->done <= progress->total);
    CHECK(progress->slice < DEPTH);
    CHECK(progress->segment == 1);
    watch->calls = progress->done;
    watch->last_total = progress->total;
    bool changed = true;
    uint8_t mask[HEIGHT * WIDTH];
    CHECK_FAILS(mem3d_session_undo(watch->session, &changed), MEM3D_STATUS_BUSY, "another call");
    CHECK(changed);
    /* What was committed last can be read meanwhile. */
    uint8_t ball[HEIGHT * WIDTH];
    fill_ball_slice(ball, 6);
    CHECK_OK(mem3d_session_read_slice_mask(watch->session, 1, MEM3D_AXIS_DEPTH, 6, mask, sizeof mask));
    CHECK(memcmp(mask, ball, sizeof mask) == 0);
    float quality[DEPTH];
    CHECK_OK(mem3d_session_read_quality(watch->session, 1, MEM3D_AXIS_DEPTH, quality, DEPTH));
    CHECK(quality[6] == 1.0f && quality[progress->slice] == 0.0f);
    CHECK_FAILS(mem3d_session_save(watch->session, "busy.m3s"), MEM3D_STATUS_BUSY, "another call");
    CHECK(mem3d_session_propagate(watch->session, NULL, NULL) == MEM3D_STATUS_BUSY);
    return watch->calls != watch->stop_after;
}

static bool on_mask(const mem3d_progress *progress, const uint8_t *mask, uint32_t rows, uint32_t columns,
                    void *user_data)
{
    struct watch *watch = user_data;
    CHECK(progress->done == watch->calls); /* after on_slice */
    CHECK(rows == HEIGHT && columns == WIDTH);
    for (uint32_t i = 0; i < rows * columns; i++) CHECK(mask[i] <= 1);
    watch->masks++;
    return watch->masks != 3;
}

static bool cancel_inside(const mem3d_progress *progress, void *user_data)
{
    (void)progress;
    CHECK_OK(mem3d_session_cancel(user_data));
    return true;
}

static bool free_inside(const mem3d_progress *progress, void *user_data)
{
    CHECK(progress->done == 1);
    mem3d_session_free(user_data);
    return true;
}

static void a_callback_may_free_its_session(const mem3d_model *model)
{
    mem3d_session *session = session_with(model, NULL);
    draw_ball_slice(session, 1);
    ZEROED(mem3d_propagate_options, options);
    options.on_slice = free_inside;
    options.user_data = session;
    CHECK_FAILS(mem3d_session_propagate(session, &options, NULL), MEM3D_STATUS_CANCELLED, "cancelled");
}

/* The masks after a propagation between two annotated slices; free them. */
static uint8_t *propagated(const mem3d_model *model, uint32_t no_refinement)
{
    ZEROED(mem3d_session_options, options);
    options.no_refinement = no_refinement;
    mem3d_session *session = session_with(model, &options);
    uint8_t slice[HEIGHT * WIDTH];
    for (int d = 4; d <= 8; d += 4) {
        fill_ball_slice(slice, d);
        CHECK_OK(mem3d_session_set_slice_mask(session, 1, MEM3D_AXIS_DEPTH, (uint32_t)d, slice, sizeof slice));
    }
    CHECK_OK(mem3d_session_propagate(session, NULL, NULL));
    uint8_t *mask = malloc(VOXELS);
    CHECK(mask != NULL);
    CHECK_OK(mem3d_session_read_mask(session, 1, mask, VOXELS));
    for (int d = 4; d <= 8; d += 4) { /* annotated slices stay exactly as they are */
        fill_ball_slice(slice, d);
        CHECK(memcmp(slice, mask + d * HEIGHT * WIDTH, sizeof slice) == 0);
    }
    mem3d_session_free(session);
    return mask;
}

static void refinement_can_be_disabled(const mem3d_model *model)
{
    uint8_t *refined = propagated(model, 0), *plain = propagated(model, 1), *again = propagated(model, 1);
    CHECK(memcmp(plain, again, VOXELS) == 0);
    CHECK(memcmp(plain, refined, VOXELS) != 0);
    free(refined);
    free(plain);
    free(again);
    ZEROED(mem3d_session_options, options);
    options.no_refinement = 2;
    static int16_t voxels[VOXELS];
    const mem3d_volume_view view = view_of(voxels);
    mem3d_session *session = NULL;
    CHECK_FAILS(mem3d_session_new(model, &view, &options, &session), MEM3D_STATUS_INVALID_ARGUMENT,
                "no_refinement is 2");
}

int main(void)
{
    mem3d_model *model = small_model();
    refinement_can_be_disabled(model);
    a_callback_may_free_its_session(model);
    mem3d_session *session = small_session(model);
    uint32_t updated = 77;
    CHECK(mem3d_session_propagate(session, NULL, &updated) == MEM3D_STATUS_INVALID_STATE);
    CHECK(updated == 77);

    draw_ball_slice(session, 1);
    uint8_t *before = calloc(2, VOXELS), *after = before + VOXELS;
    CHECK(before != NULL);
    CHECK_OK(mem3d_session_read_mask(session, 1, before, VOXELS));

    struct watch watch = {session, 0, 2, 0, 0};
    ZEROED(mem3d_propagate_options, options);
    options.on_slice = on_slice;
    options.user_data = &watch;
    CHECK(mem3d_session_propagate(session, &options, &updated) == MEM3D_STATUS_CANCELLED);
    CHECK(watch.calls == 2 && updated == 77);
    CHECK(watch.masks == 0);
    watch.calls = 0;
    watch.stop_after = UINT32_MAX;
    options.on_mask = on_mask;
    CHECK(mem3d_session_propagate(session, &options, &updated) == MEM3D_STATUS_CANCELLED);
    CHECK(watch.masks == 3 && watch.calls == 3); /* it stops the call too */
    options.on_mask = NULL;
    options.on_slice = cancel_inside;
    options.user_data = session;
    CHECK(mem3d_session_propagate(session, &options, &updated) == MEM3D_STATUS_CANCELLED);
    CHECK_OK(mem3d_session_read_mask(session, 1, after, VOXELS));
    CHECK(memcmp(before, after, VOXELS) == 0);

    CHECK_OK(mem3d_session_cancel(session)); /* nothing runs: no effect on the next call */
    watch.calls = 0;
    watch.stop_after = UINT32_MAX;
    options.on_slice = on_slice;
    options.user_data = &watch;
    CHECK_OK(mem3d_session_propagate(session, &options, &updated));
    CHECK(watch.calls >= 1 && watch.calls <= watch.last_total);
    CHECK(updated >= 1 && updated < DEPTH);
    CHECK_OK(mem3d_session_read_mask(session, 1, after, VOXELS));
    const size_t slice = HEIGHT * WIDTH; /* the annotated slice is honoured exactly */
    CHECK(memcmp(before + 6 * slice, after + 6 * slice, slice) == 0);

    options.on_slice = NULL;
    options.direction = 3;
    CHECK_FAILS(mem3d_session_propagate(session, &options, NULL), MEM3D_STATUS_INVALID_ARGUMENT,
                "options.direction is 3");
    options.direction = MEM3D_DIRECTION_UP;
    options.axis = 4;
    CHECK_FAILS(mem3d_session_propagate(session, &options, NULL), MEM3D_STATUS_INVALID_ARGUMENT, "options.axis is 4");
    options.axis = MEM3D_AXIS_DEPTH;
    options.segment = 5;
    CHECK(mem3d_session_propagate(session, &options, NULL) == MEM3D_STATUS_INVALID_ARGUMENT);
    options.segment = 1;
    options.first_slice = 5;
    options.n_slices = DEPTH;
    CHECK(mem3d_session_propagate(session, &options, NULL) == MEM3D_STATUS_INVALID_ARGUMENT);
    options.n_slices = 3;
    CHECK_OK(mem3d_session_propagate(session, &options, &updated));
    CHECK(updated <= 1); /* slice 7 only: 5 is below, 6 is annotated */

    free(before);
    mem3d_session_free(session);
    mem3d_model_free(model);
    return 0;
}
