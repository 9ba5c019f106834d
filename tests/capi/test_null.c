/* NULL in every pointer of every function: a status with the parameter's name, or nothing at all. */
#include "check.h"

#define NULL_IS_NAMED(call, name) CHECK_FAILS(call, MEM3D_STATUS_INVALID_ARGUMENT, name " is NULL")

int main(void)
{
    mem3d_model *model = small_model();
    mem3d_session *session = small_session(model);
    draw_ball_slice(session, 1);
    static uint8_t mask[VOXELS];
    static int16_t voxels[VOXELS];
    static float floats[VOXELS];
    static uint16_t labels[VOXELS];
    const mem3d_volume_view view = view_of(voxels);
    const mem3d_interaction drawn = stroke(1);
    mem3d_model *made = NULL;
    mem3d_session *opened = NULL;
    double number = 0;
    double place[3] = {0.0, 0.0, 0.0};
    size_t count = 0;
    bool changed = false;
    ZEROED(mem3d_model_info, model_info);
    ZEROED(mem3d_suggestion, suggestion);
    ZEROED(mem3d_memory_usage, usage);

    CHECK_OK(mem3d_set_log_callback(NULL, NULL, 0));
    NULL_IS_NAMED(mem3d_device_get_count(NULL), "count");
    NULL_IS_NAMED(mem3d_device_get_info(0, NULL), "info");
    NULL_IS_NAMED(mem3d_get_thread_count(NULL), "count");

    NULL_IS_NAMED(mem3d_model_load(NULL, NULL, &made), "path");
    NULL_IS_NAMED(mem3d_model_load("x", NULL, NULL), "model");
    NULL_IS_NAMED(mem3d_model_random(0, 0, NULL, NULL), "model");
    NULL_IS_NAMED(mem3d_model_get_info(NULL, &model_info), "model");
    NULL_IS_NAMED(mem3d_model_get_info(model, NULL), "info");
    mem3d_model_free(NULL);

    NULL_IS_NAMED(mem3d_session_new(NULL, &view, NULL, &opened), "model");
    NULL_IS_NAMED(mem3d_session_new(model, NULL, NULL, &opened), "volume");
    NULL_IS_NAMED(mem3d_session_new(model, &view, NULL, NULL), "session");
    mem3d_session_free(NULL);

    NULL_IS_NAMED(mem3d_session_interact(NULL, &drawn, mask, HEIGHT * WIDTH), "session");
    NULL_IS_NAMED(mem3d_session_interact(session, NULL, mask, HEIGHT * WIDTH), "interaction");
    CHECK_OK(mem3d_session_interact(session, &drawn, NULL, 0));
    NULL_IS_NAMED(mem3d_session_set_slice_mask(NULL, 1, MEM3D_AXIS_DEPTH, 6, mask, HEIGHT * WIDTH), "session");
    NULL_IS_NAMED(mem3d_session_set_slice_mask(session, 1, MEM3D_AXIS_DEPTH, 6, NULL, HEIGHT * WIDTH), "mask");
    NULL_IS_NAMED(mem3d_session_set_mask(NULL, 1, mask, VOXELS), "session");
    NULL_IS_NAMED(mem3d_session_set_mask(session, 1, NULL, VOXELS), "mask");
    NULL_IS_NAMED(mem3d_session_accept(NULL, 1, MEM3D_AXIS_DEPTH, 6), "session");
    NULL_IS_NAMED(mem3d_session_propagate(NULL, NULL, NULL), "session");
    CHECK_OK(mem3d_session_propagate(session, NULL, NULL));
    NULL_IS_NAMED(mem3d_session_cancel(NULL), "session");
    NULL_IS_NAMED(mem3d_session_undo(NULL, &changed), "session");
    CHECK_OK(mem3d_session_undo(session, NULL));
    NULL_IS_NAMED(mem3d_session_redo(NULL, &changed), "session");
    CHECK_OK(mem3d_session_redo(session, NULL));
    NULL_IS_NAMED(mem3d_session_reset(NULL, 0), "session");

    NULL_IS_NAMED(mem3d_session_get_segments(NULL, NULL, 0, &count), "session");
    NULL_IS_NAMED(mem3d_session_get_segments(session, NULL, 0, NULL), "count");
    CHECK_OK(mem3d_session_get_segments(session, NULL, 0, &count));
    NULL_IS_NAMED(mem3d_session_get_annotated_slices(NULL, 1, MEM3D_AXIS_DEPTH, NULL, 0, &count), "session");
    NULL_IS_NAMED(mem3d_session_get_annotated_slices(session, 1, MEM3D_AXIS_DEPTH, NULL, 0, NULL), "count");
    CHECK_OK(mem3d_session_get_annotated_slices(session, 1, MEM3D_AXIS_DEPTH, NULL, 0, &count));
    NULL_IS_NAMED(mem3d_session_read_quality(NULL, 1, MEM3D_AXIS_DEPTH, floats, DEPTH), "session");
    NULL_IS_NAMED(mem3d_session_read_quality(session, 1, MEM3D_AXIS_DEPTH, NULL, DEPTH), "quality");
    NULL_IS_NAMED(mem3d_session_suggest_slice(NULL, 1, &suggestion), "session");
    NULL_IS_NAMED(mem3d_session_suggest_slice(session, 1, NULL), "suggestion");
    NULL_IS_NAMED(mem3d_session_read_mask(NULL, 1, mask, VOXELS), "session");
    NULL_IS_NAMED(mem3d_session_read_mask(session, 1, NULL, VOXELS), "mask");
    NULL_IS_NAMED(mem3d_session_read_slice_mask(NULL, 1, MEM3D_AXIS_DEPTH, 6, mask, HEIGHT * WIDTH), "session");
    NULL_IS_NAMED(mem3d_session_read_slice_mask(session, 1, MEM3D_AXIS_DEPTH, 6, NULL, HEIGHT * WIDTH), "mask");
    NULL_IS_NAMED(mem3d_session_read_probability(NULL, 1, floats, VOXELS), "session");
    NULL_IS_NAMED(mem3d_session_read_probability(session, 1, NULL, VOXELS), "probability");
    NULL_IS_NAMED(mem3d_session_read_labels(NULL, labels, VOXELS), "session");
    NULL_IS_NAMED(mem3d_session_read_labels(session, NULL, VOXELS), "labels");
    NULL_IS_NAMED(mem3d_session_get_window(NULL, &number, &number), "session");
    NULL_IS_NAMED(mem3d_session_get_window(session, NULL, &number), "low");
    NULL_IS_NAMED(mem3d_session_get_window(session, &number, NULL), "high");
    NULL_IS_NAMED(mem3d_session_get_index(NULL, place, place), "session");
    NULL_IS_NAMED(mem3d_session_get_index(session, NULL, place), "lps_mm");
    NULL_IS_NAMED(mem3d_session_get_index(session, place, NULL), "index");
    NULL_IS_NAMED(mem3d_session_get_memory_usage(NULL, &usage), "session");
    NULL_IS_NAMED(mem3d_session_get_memory_usage(session, NULL), "usage");
    NULL_IS_NAMED(mem3d_session_save(NULL, "x"), "session");
    NULL_IS_NAMED(mem3d_session_save(session, NULL), "path");
    NULL_IS_NAMED(mem3d_session_restore(NULL, "x"), "session");
    NULL_IS_NAMED(mem3d_session_restore(session, NULL), "path");

    CHECK(made == NULL && opened == NULL);
    mem3d_session_free(session);
    mem3d_model_free(model);
    return 0;
}
