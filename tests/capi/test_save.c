/* Saved sessions: restored exactly, and refused on another volume, with another model or when damaged. */
#include "check.h"

static const char *const saved = "test_save.m3s";

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
    CHECK_OK(mem3d_session_get_segments(other, NULL, 0, &count));
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
    draw_ball_slice(session, 1);
    CHECK_OK(mem3d_session_propagate(session, NULL, NULL));
    save_and_restore(model, session);
    mem3d_session_free(session);
    mem3d_model_free(model);
    return 0;
}
