/* Volumes: every scalar type, strides, and what bad views get. */
#include "check.h"

static mem3d_model *model;

static mem3d_status open_view(const mem3d_volume_view *view)
{
    mem3d_session *session = NULL;
    const mem3d_status status = mem3d_session_new(model, view, NULL, &session);
    CHECK((status == MEM3D_STATUS_OK) == (session != NULL));
    mem3d_session_free(session);
    return status;
}

/* The 0.5th and 99.5th percentile tell whether the voxels arrived. */
static void window_of(const mem3d_volume_view *view, double *low, double *high)
{
    mem3d_session *session = NULL;
    CHECK_OK(mem3d_session_new(model, view, NULL, &session));
    CHECK_OK(mem3d_session_get_window(session, low, high));
    mem3d_session_free(session);
}

#define FILL(type)                                                                 \
    do {                                                                           \
        for (int i = 0; i < 8 * 16 * 16; i++) ((type *)data)[i] = (type)(i % 100); \
        view.data = data;                                                          \
    } while (0)

static void every_type(void)
{
    ZEROED(mem3d_volume_view, view);
    view.shape[0] = 8;
    view.shape[1] = view.shape[2] = 16;
    double *data = malloc(sizeof(double) * 8 * 16 * 16);
    CHECK(data != NULL);
    for (int32_t type = MEM3D_SCALAR_TYPE_U8; type <= MEM3D_SCALAR_TYPE_F64; type++) {
        view.scalar_type = type;
        switch (type) {
        case MEM3D_SCALAR_TYPE_U8: FILL(uint8_t); break;
        case MEM3D_SCALAR_TYPE_I8: FILL(int8_t); break;
        case MEM3D_SCALAR_TYPE_U16: FILL(uint16_t); break;
        case MEM3D_SCALAR_TYPE_I16: FILL(int16_t); break;
        case MEM3D_SCALAR_TYPE_U32: FILL(uint32_t); break;
        case MEM3D_SCALAR_TYPE_I32: FILL(int32_t); break;
        case MEM3D_SCALAR_TYPE_F32: FILL(float); break;
        default: FILL(double); break;
        }
        double low = -1, high = -1;
        window_of(&view, &low, &high);
        CHECK(low >= 0 && low <= 2 && high >= 97 && high <= 99);
    }
    free(data);
}

static void strides_are_followed(void)
{
    /* Every second voxel of a row twice as wide; the others would change the window. */
    int16_t *wide = malloc(sizeof(int16_t) * VOXELS * 2);
    int16_t *packed = malloc(sizeof(int16_t) * VOXELS);
    CHECK(wide != NULL && packed != NULL);
    fill_ball(packed);
    for (int i = 0; i < VOXELS; i++) {
        wide[2 * i] = packed[i];
        wide[2 * i + 1] = 30000;
    }
    mem3d_volume_view view = view_of(packed);
    double expected[2], got[2];
    window_of(&view, &expected[0], &expected[1]);
    view = view_of(wide);
    view.byte_strides[2] = 4;
    view.byte_strides[1] = 4 * WIDTH;
    view.byte_strides[0] = 4 * WIDTH * HEIGHT;
    window_of(&view, &got[0], &got[1]);
    CHECK(got[0] == expected[0] && got[1] == expected[1]);
    /* The same voxels from the last to the first. */
    view.data = wide + 2 * (VOXELS - 1);
    for (int axis = 0; axis < 3; axis++) view.byte_strides[axis] *= -1;
    window_of(&view, &got[0], &got[1]);
    CHECK(got[0] == expected[0] && got[1] == expected[1]);
    free(wide);
    free(packed);
}

static void bad_views(void)
{
    static int16_t voxels[VOXELS];
    fill_ball(voxels);
    mem3d_volume_view view = view_of(NULL);
    CHECK_FAILS(open_view(&view), MEM3D_STATUS_INVALID_ARGUMENT, "volume.data is NULL");
    view = view_of(voxels);
    view.scalar_type = 0;
    CHECK_FAILS(open_view(&view), MEM3D_STATUS_INVALID_ARGUMENT, "scalar_type is 0");
    const int64_t sides[] = {0, -4, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 4; i++) {
        view = view_of(voxels);
        view.shape[1] = sides[i];
        CHECK_FAILS(open_view(&view), MEM3D_STATUS_INVALID_ARGUMENT, "shape");
    }
    view = view_of(voxels);
    view.byte_strides[0] = INT64_MAX;
    view.byte_strides[1] = view.byte_strides[2] = 2;
    CHECK_FAILS(open_view(&view), MEM3D_STATUS_INVALID_ARGUMENT, "byte_strides");
    view = view_of(voxels);
    view.spacing_mm[2] = -1.0;
    CHECK_FAILS(open_view(&view), MEM3D_STATUS_INVALID_ARGUMENT, "spacing");
    view = view_of(voxels);
    view.direction[0] = view.direction[3] = view.direction[6] = 1.0;
    CHECK_FAILS(open_view(&view), MEM3D_STATUS_INVALID_ARGUMENT, "direction");
    view = view_of(voxels);
    view.struct_size = 12345;
    CHECK_FAILS(open_view(&view), MEM3D_STATUS_INVALID_ARGUMENT, "struct_size of volume is 12345");

    static float floats[VOXELS];
    for (int i = 0; i < VOXELS; i++) floats[i] = (float)voxels[i];
    floats[77] /= 0.0f * floats[78];
    view = view_of(voxels);
    view.scalar_type = MEM3D_SCALAR_TYPE_F32;
    view.data = floats;
    CHECK(open_view(&view) == MEM3D_STATUS_INVALID_ARGUMENT);
    ZEROED(mem3d_session_options, options);
    options.replace_non_finite = 1;
    mem3d_session *session = NULL;
    CHECK_OK(mem3d_session_new(model, &view, &options, &session));
    mem3d_session_free(session);
    session = NULL;
    options.keep_cuda_cache = 2;
    CHECK_FAILS(mem3d_session_new(model, &view, &options, &session), MEM3D_STATUS_INVALID_ARGUMENT,
                "keep_cuda_cache is 2");
    options.keep_cuda_cache = 1;
    options.undo_depth = -7;
    CHECK_FAILS(mem3d_session_new(model, &view, &options, &session), MEM3D_STATUS_INVALID_ARGUMENT, "undo_depth");
    CHECK(session == NULL);
}

int main(void)
{
    model = small_model();
    every_type();
    strides_are_followed();
    bad_views();
    mem3d_model_free(model);
    return 0;
}
