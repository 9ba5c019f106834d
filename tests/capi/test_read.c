/* Masks, probabilities, labels, lists, window and memory of a session. */
#include "check.h"

static void masks_come_back(mem3d_session *session)
{
    uint8_t *mask = calloc(2, VOXELS), *again = mask + VOXELS;
    float *probability = calloc(VOXELS, sizeof *probability);
    uint16_t *labels = calloc(VOXELS, sizeof *labels);
    CHECK(mask && probability && labels);
    CHECK_OK(mem3d_session_read_mask(session, 1, mask, VOXELS));
    CHECK_OK(mem3d_session_read_probability(session, 1, probability, VOXELS));
    CHECK_OK(mem3d_session_read_labels(session, labels, VOXELS));
    for (int i = 0; i < VOXELS; i++) {
        CHECK(mask[i] == (probability[i] >= 0.5f));
        CHECK(labels[i] == mask[i]);
    }
    CHECK_OK(mem3d_session_read_slice_mask(session, 1, MEM3D_AXIS_DEPTH, 6, again, HEIGHT * WIDTH));
    CHECK(memcmp(again, mask + 6 * HEIGHT * WIDTH, HEIGHT * WIDTH) == 0);
    CHECK_FAILS(mem3d_session_read_mask(session, 1, mask, VOXELS - 1), MEM3D_STATUS_INVALID_ARGUMENT, "exactly 23040");
    CHECK(mem3d_session_read_mask(session, 8, mask, VOXELS) == MEM3D_STATUS_INVALID_ARGUMENT);
    CHECK_OK(mem3d_session_set_mask(session, 4, mask, VOXELS));
    CHECK_OK(mem3d_session_read_mask(session, 4, again, VOXELS));
    CHECK(memcmp(mask, again, VOXELS) == 0);
    CHECK_FAILS(mem3d_session_set_mask(session, 4, mask, 3), MEM3D_STATUS_INVALID_ARGUMENT, "mask holds 3 values");
    CHECK_OK(mem3d_session_reset(session, 4));
    free(mask);
    free(probability);
    free(labels);
}

static void lists(mem3d_session *session)
{
    uint32_t list[4] = {9, 9, 9, 9};
    size_t count = 0;
    CHECK_OK(mem3d_session_get_segments(session, list, 4, &count));
    CHECK(count == 1 && list[0] == 1 && list[1] == 9);
    CHECK_OK(mem3d_session_get_annotated_slices(session, 1, MEM3D_AXIS_DEPTH, NULL, 0, &count));
    CHECK(count == 1);
    CHECK_OK(mem3d_session_get_annotated_slices(session, 1, MEM3D_AXIS_DEPTH, list, 4, &count));
    CHECK(list[0] == 6);
    CHECK_FAILS(mem3d_session_get_annotated_slices(session, 1, MEM3D_AXIS_DEPTH, list, 0, &count),
                MEM3D_STATUS_INVALID_ARGUMENT, "room for 0");
    CHECK_FAILS(mem3d_session_get_annotated_slices(session, 1, MEM3D_AXIS_LAST_DRAWN, list, 4, &count),
                MEM3D_STATUS_INVALID_ARGUMENT, "axis is 0");
    CHECK_FAILS(mem3d_session_get_annotated_slices(session, 1, -1, list, 4, &count), MEM3D_STATUS_INVALID_ARGUMENT,
                "axis is -1");
}

static void window_and_memory(mem3d_session *session)
{
    double low = 5, high = 5;
    CHECK_OK(mem3d_session_get_window(session, &low, &high));
    CHECK(low >= 0 && low < high && high <= 300);
    ZEROED(mem3d_memory_usage, usage);
    CHECK_OK(mem3d_session_get_memory_usage(session, &usage));
    CHECK(usage.volume_bytes == VOXELS * sizeof(int16_t) && usage.masks_bytes > 0);
}

int main(void)
{
    mem3d_model *model = small_model();
    mem3d_session *session = small_session(model);
    draw_ball_slice(session, 1);
    CHECK_OK(mem3d_session_propagate(session, NULL, NULL));
    masks_come_back(session);
    lists(session);
    window_and_memory(session);
    mem3d_session_free(session);
    mem3d_model_free(model);
    return 0;
}
