/* Quality per slice, and suggestions until every slice is annotated. */
#include "check.h"

static void quality_is_a_fraction_and_one_where_annotated(const mem3d_session *session)
{
    float quality[DEPTH];
    CHECK_OK(mem3d_session_read_quality(session, 1, MEM3D_AXIS_DEPTH, quality, DEPTH));
    for (int i = 0; i < DEPTH; i++) CHECK(quality[i] >= 0 && quality[i] <= 1);
    CHECK(quality[6] == 1.0f);
    CHECK_FAILS(mem3d_session_read_quality(session, 1, MEM3D_AXIS_HEIGHT, quality, DEPTH),
                MEM3D_STATUS_INVALID_ARGUMENT, "exactly 48");
    CHECK_FAILS(mem3d_session_read_quality(session, 1, MEM3D_AXIS_LAST_DRAWN, quality, DEPTH),
                MEM3D_STATUS_INVALID_ARGUMENT, "axis is 0");
}

static mem3d_suggestion suggested(const mem3d_session *session, uint32_t segment)
{
    mem3d_suggestion best;
    memset(&best, 0xff, sizeof best); /* whatever is not written shows */
    best.struct_size = (uint32_t)sizeof best;
    CHECK_OK(mem3d_session_suggest_slice(session, segment, &best));
    CHECK(best.struct_size == sizeof best && best.reserved == 0);
    return best;
}

static void nothing_is_suggested(const mem3d_session *session)
{
    const mem3d_suggestion none = suggested(session, 1);
    CHECK(none.found == 0 && none.segment == 0 && none.axis == 0 && none.slice == 0);
    CHECK(none.quality == 0 && none.gain == 0);
}

/* Each suggestion is accepted; it is a slice that was not annotated, with its quality, until none is left. */
static void suggestions_reach_every_slice_once(mem3d_session *session)
{
    bool annotated[DEPTH] = {false};
    annotated[6] = true;
    for (int n = 1; n < DEPTH; n++) {
        float quality[DEPTH];
        CHECK_OK(mem3d_session_read_quality(session, 1, MEM3D_AXIS_DEPTH, quality, DEPTH));
        const mem3d_suggestion best = suggested(session, 1), of_all = suggested(session, 0);
        CHECK(best.found == 1 && best.segment == 1 && best.axis == MEM3D_AXIS_DEPTH);
        CHECK(best.slice < DEPTH && !annotated[best.slice]);
        CHECK(best.quality == quality[best.slice] && best.gain >= 0);
        CHECK(memcmp(&best, &of_all, sizeof best) == 0); /* there is one segment only */
        CHECK_OK(mem3d_session_accept(session, 1, best.axis, best.slice));
        annotated[best.slice] = true;
    }
    nothing_is_suggested(session);
}

int main(void)
{
    mem3d_model *model = small_model();
    mem3d_session *session = small_session(model);
    draw_ball_slice(session, 1);
    nothing_is_suggested(session); /* nothing was propagated */
    CHECK_OK(mem3d_session_propagate(session, NULL, NULL));
    quality_is_a_fraction_and_one_where_annotated(session);
    suggestions_reach_every_slice_once(session);
    mem3d_session_free(session);
    mem3d_model_free(model);
    return 0;
}
