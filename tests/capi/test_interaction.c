/* Kinds of interaction: a model names those that it accepts. */
#include "check.h"

int main(void)
{
    mem3d_model *model = NULL;
    CHECK(mem3d_model_random(MEM3D_PRESET_COMPACT, 1, NULL, &model) == MEM3D_STATUS_OK);
    ZEROED(mem3d_model_info, info);
    CHECK(mem3d_model_get_info(model, &info) == MEM3D_STATUS_OK);
    const mem3d_interaction_kind kinds[] = {
        MEM3D_INTERACTION_KIND_SCRIBBLE,
        MEM3D_INTERACTION_KIND_BOX,
        MEM3D_INTERACTION_KIND_EXTREME_POINTS,
        MEM3D_INTERACTION_KIND_CLICK,
    };
    uint32_t all = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        CHECK(kinds[i] == (int32_t)i);
        all |= 1u << kinds[i];
    }
    CHECK(info.interaction_kinds == all);
    mem3d_model_free(model);
    return 0;
}
