// A bright ball in a small volume: draw one stroke, propagate, ask for the slice to correct next.
// Usage: hello [MODEL.safetensors]; without a model, random weights show the calls (their masks mean nothing).
#include <mem3d.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(call)                                                 \
    do {                                                            \
        if ((call) != MEM3D_STATUS_OK) {                            \
            fprintf(stderr, "%s: %s\n", #call, mem3d_last_error()); \
            return EXIT_FAILURE;                                    \
        }                                                           \
    } while (0)

enum { DEPTH = 12, HEIGHT = 48, WIDTH = 40 };
static int16_t voxels[DEPTH][HEIGHT][WIDTH];
static uint8_t mask[DEPTH][HEIGHT][WIDTH];

static bool on_slice(const mem3d_progress *progress, void *user_data)
{
    (void)user_data;
    printf("\r%u of %u slices", (unsigned)progress->done, (unsigned)progress->total);
    return true; // false would stop
}

int main(int argc, char **argv)
{
    for (int d = 0; d < DEPTH; d++)
        for (int h = 0; h < HEIGHT; h++)
            for (int w = 0; w < WIDTH; w++) {
                int z = 3 * (d - 6), y = h - 24, x = w - 20;
                voxels[d][h][w] = x * x + y * y + z * z < 144 ? 300 : 0;
            }

    mem3d_model *model = NULL;
    if (argc > 1)
        CHECK(mem3d_model_load(argv[1], NULL, &model));
    else
        CHECK(mem3d_model_random(MEM3D_PRESET_COMPACT, 1, NULL, &model));

    mem3d_volume_view volume = {0};
    volume.struct_size = sizeof volume;
    volume.scalar_type = MEM3D_SCALAR_TYPE_I16;
    volume.data = voxels;
    volume.shape[0] = DEPTH, volume.shape[1] = HEIGHT, volume.shape[2] = WIDTH;
    volume.spacing_mm[0] = 3.0, volume.spacing_mm[1] = 1.0, volume.spacing_mm[2] = 1.0;
    mem3d_session *session = NULL;
    CHECK(mem3d_session_new(model, &volume, NULL, &session));

    const double stroke[] = {6, 18, 14, 6, 24, 20, 6, 30, 26}; // three points: depth, height, width
    mem3d_interaction scribble = {0};
    scribble.struct_size = sizeof scribble;
    scribble.segment = 1;
    scribble.axis = MEM3D_AXIS_DEPTH;
    scribble.slice = 6;
    scribble.kind = MEM3D_INTERACTION_KIND_SCRIBBLE;
    scribble.points = stroke;
    scribble.n_points = 3;
    CHECK(mem3d_session_interact(session, &scribble, NULL, 0));

    mem3d_propagate_options options = {0};
    options.struct_size = sizeof options;
    options.on_slice = on_slice;
    uint32_t updated = 0;
    CHECK(mem3d_session_propagate(session, &options, &updated));
    CHECK(mem3d_session_read_mask(session, 1, &mask[0][0][0], sizeof mask));

    mem3d_suggestion next = {0};
    next.struct_size = sizeof next;
    CHECK(mem3d_session_suggest_slice(session, 1, &next));
    printf("\n%u slices updated; correct slice %u next\n", (unsigned)updated, (unsigned)next.slice);

    mem3d_session_free(session);
    mem3d_model_free(model);
    return EXIT_SUCCESS;
}
