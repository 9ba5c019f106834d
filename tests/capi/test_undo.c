/* Undo and redo of every kind of step, and deletion of segments. */
#include "check.h"

static void undo_and_redo(mem3d_session *session)
{
    size_t count = 9;
    bool changed = false;
    CHECK_OK(mem3d_session_reset(session, 0));
    CHECK_OK(mem3d_session_get_segments(session, NULL, 0, &count));
    CHECK(count == 0);
    CHECK_OK(mem3d_session_undo(session, &changed));
    CHECK(changed);
    CHECK_OK(mem3d_session_get_segments(session, NULL, 0, &count));
    CHECK(count == 1);
    CHECK_OK(mem3d_session_redo(session, NULL));
    CHECK_OK(mem3d_session_undo(session, NULL));
    while (changed) CHECK_OK(mem3d_session_undo(session, &changed));
    CHECK_OK(mem3d_session_get_segments(session, NULL, 0, &count));
    CHECK(count == 0);
    changed = true;
    while (changed) CHECK_OK(mem3d_session_redo(session, &changed));
    CHECK_OK(mem3d_session_undo(session, NULL)); /* the reset */
    CHECK_OK(mem3d_session_accept(session, 1, MEM3D_AXIS_DEPTH, 7));
    CHECK(mem3d_session_accept(session, 1, MEM3D_AXIS_DEPTH, 99) == MEM3D_STATUS_INVALID_ARGUMENT);
    CHECK_OK(mem3d_session_undo(session, NULL));
}

int main(void)
{
    mem3d_model *model = small_model();
    mem3d_session *session = small_session(model);
    const mem3d_interaction drawn = stroke(1);
    CHECK_OK(mem3d_session_interact(session, &drawn, NULL, 0));
    draw_ball_slice(session, 1);
    CHECK_OK(mem3d_session_propagate(session, NULL, NULL));
    undo_and_redo(session);
    mem3d_session_free(session);
    mem3d_model_free(model);
    return 0;
}
