/* A session from the first stroke to the restored file. */
#include "check.h"

static const char *const saved = "test_session_saved.m3s";

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
    CHECK_OK(mem3d_session_segments(session, list, 4, &count));
    CHECK(count == 1 && list[0] == 1 && list[1] == 9);
    CHECK_OK(mem3d_session_annotated(session, 1, MEM3D_AXIS_DEPTH, NULL, 0, &count));
    CHECK(count == 1);
    CHECK_OK(mem3d_session_annotated(session, 1, MEM3D_AXIS_DEPTH, list, 4, &count));
    CHECK(list[0] == 6);
    CHECK_FAILS(mem3d_session_annotated(session, 1, 0, list, 0, &count), MEM3D_STATUS_INVALID_ARGUMENT, "room for 0");
    CHECK_FAILS(mem3d_session_annotated(session, 1, -1, list, 4, &count), MEM3D_STATUS_INVALID_ARGUMENT, "axis is -1");
}

static void quality_and_suggestion(mem3d_session *session)
{
    float quality[DEPTH];
    CHECK_OK(mem3d_session_quality(session, 1, MEM3D_AXIS_DEPTH, quality, DEPTH));
    for (int i = 0; i < DEPTH; i++) CHECK(quality[i] >= 0 && quality[i] <= 1);
    CHECK(quality[6] == 1.0f);
    CHECK(mem3d_session_quality(session, 1, MEM3D_AXIS_HEIGHT, quality, DEPTH) == MEM3D_STATUS_INVALID_ARGUMENT);
    ZEROED(mem3d_suggestion, best);
    CHECK_OK(mem3d_session_suggest_slice(session, 1, &best));
    if (best.found) CHECK(best.segment == 1 && best.axis == MEM3D_AXIS_DEPTH && best.slice < DEPTH && best.slice != 6);
    CHECK_OK(mem3d_session_suggest_slice(session, 0, &best));
}

static void undo_and_redo(mem3d_session *session)
{
    size_t count = 9;
    bool changed = false;
    CHECK_OK(mem3d_session_reset(session, 0));
    CHECK_OK(mem3d_session_segments(session, NULL, 0, &count));
    CHECK(count == 0);
    CHECK_OK(mem3d_session_undo(session, &changed));
    CHECK(changed);
    CHECK_OK(mem3d_session_segments(session, NULL, 0, &count));
    CHECK(count == 1);
    CHECK_OK(mem3d_session_redo(session, NULL));
    CHECK_OK(mem3d_session_undo(session, NULL));
    while (changed) CHECK_OK(mem3d_session_undo(session, &changed));
    CHECK_OK(mem3d_session_segments(session, NULL, 0, &count));
    CHECK(count == 0);
    changed = true;
    while (changed) CHECK_OK(mem3d_session_redo(session, &changed));
    CHECK_OK(mem3d_session_undo(session, NULL)); /* the reset */
    CHECK_OK(mem3d_session_accept(session, 1, MEM3D_AXIS_DEPTH, 7));
    CHECK(mem3d_session_accept(session, 1, MEM3D_AXIS_DEPTH, 99) == MEM3D_STATUS_INVALID_ARGUMENT);
    CHECK_OK(mem3d_session_undo(session, NULL));
}

static void save_and_restore(const mem3d_model *model, mem3d_session *session)
{
    uint8_t *mask = calloc(2, VOXELS), *again = mask + VOXELS;
    CHECK(mask != NULL);
    CHECK_OK(mem3d_session_read_mask(session, 1, mask, VOXELS));
    CHECK(mem3d_session_save(session, "no/such/folder/file") == MEM3D_STATUS_IO);
    CHECK_OK(mem3d_session_save(session, saved));
    CHECK_OK(mem3d_session_reset(session, 0));
    CHECK(mem3d_session_read_mask(session, 1, again, VOXELS) == MEM3D_STATUS_INVALID_ARGUMENT);
    CHECK_OK(mem3d_session_restore(session, saved));
    CHECK_OK(mem3d_session_read_mask(session, 1, again, VOXELS));
    CHECK(memcmp(mask, again, VOXELS) == 0);
    bool changed = false;
    CHECK_OK(mem3d_session_undo(session, &changed)); /* the history came with it */
    CHECK(changed);
    CHECK_OK(mem3d_session_redo(session, NULL));

    int16_t *voxels = calloc(VOXELS, sizeof *voxels);
    CHECK(voxels != NULL);
    fill_ball(voxels);
    voxels[5]++;
    const mem3d_volume_view view = view_of(voxels);
    mem3d_session *other = NULL;
    CHECK_OK(mem3d_session_new(model, &view, NULL, &other));
    draw_ball_slice(other, 2);
    CHECK_FAILS(mem3d_session_restore(other, saved), MEM3D_STATUS_INVALID_ARGUMENT, "another volume");
    size_t count = 0;
    CHECK_OK(mem3d_session_segments(other, NULL, 0, &count));
    CHECK(count == 1); /* still there */
    mem3d_session_free(other);
    free(voxels);

    mem3d_model *another = NULL;
    CHECK_OK(mem3d_model_random(MEM3D_PRESET_COMPACT, 2, NULL, &another));
    mem3d_session *third = small_session(another);
    CHECK(mem3d_session_restore(third, saved) == MEM3D_STATUS_INVALID_ARGUMENT);
    mem3d_session_free(third);
    mem3d_model_free(another);

    FILE *file = fopen(saved, "r+b");
    CHECK(file != NULL && fseek(file, 100, SEEK_SET) == 0);
    const int byte = fgetc(file);
    CHECK(fseek(file, 100, SEEK_SET) == 0 && fputc(byte ^ 1, file) != EOF && fclose(file) == 0);
    CHECK_FAILS(mem3d_session_restore(session, saved), MEM3D_STATUS_IO, "damaged");
    CHECK_OK(mem3d_session_read_mask(session, 1, again, VOXELS));
    CHECK(memcmp(mask, again, VOXELS) == 0);
    remove(saved);
    CHECK(mem3d_session_restore(session, saved) == MEM3D_STATUS_IO);
    free(mask);
}

int main(void)
{
    mem3d_model *model = small_model();
    mem3d_session *session = small_session(model);
    double low = 5, high = 5;
    CHECK_OK(mem3d_session_window(session, &low, &high));
    CHECK(low >= 0 && low < high && high <= 300);
    const mem3d_interaction drawn = stroke(1);
    CHECK_OK(mem3d_session_interact(session, &drawn, NULL, 0));
    draw_ball_slice(session, 1);
    uint8_t few[3] = {0};
    CHECK_FAILS(mem3d_session_set_slice_mask(session, 1, 0, 6, few, 3), MEM3D_STATUS_INVALID_ARGUMENT, "exactly 1920");
    CHECK_OK(mem3d_session_propagate(session, NULL, NULL));
    ZEROED(mem3d_memory_usage, usage);
    CHECK_OK(mem3d_session_memory_usage(session, &usage));
    CHECK(usage.volume_bytes == VOXELS * sizeof(int16_t) && usage.masks_bytes > 0);
    masks_come_back(session);
    lists(session);
    quality_and_suggestion(session);
    undo_and_redo(session);
    save_and_restore(model, session);
    mem3d_session_free(session);
    mem3d_session_free(NULL);
    mem3d_model_free(model);
    return 0;
}
