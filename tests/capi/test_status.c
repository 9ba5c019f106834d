/* Statuses and mem3d_last_error(): never NULL, changed by failures only. */
#include "check.h"

int main(void)
{
    CHECK(mem3d_last_error() != NULL);
    CHECK(strcmp(mem3d_last_error(), "") == 0);
    CHECK(mem3d_model_get_info(NULL, NULL) == MEM3D_STATUS_INVALID_ARGUMENT);
    CHECK(strcmp(mem3d_last_error(), "model is NULL") == 0);
    uint32_t count = 0;
    CHECK_OK(mem3d_get_thread_count(&count));
    CHECK(strcmp(mem3d_last_error(), "model is NULL") == 0);
    CHECK(MEM3D_STATUS_OK == 0 && MEM3D_STATUS_TORCH == 9 && MEM3D_STATUS_INTERNAL == 99);
    return 0;
}
