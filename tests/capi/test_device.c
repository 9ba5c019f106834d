/* Devices are listed one by one, the CPU first; the thread count is remembered. */
#include "check.h"

int main(void)
{
    uint32_t count = 0;
    CHECK_OK(mem3d_device_get_count(&count));
    CHECK(count >= 1);
    ZEROED(mem3d_device_info, info);
    CHECK_OK(mem3d_device_get_info(0, &info));
    CHECK(strcmp(info.id, "cpu") == 0);
    CHECK(info.name[0] != '\0');
    CHECK(info.struct_size == sizeof info);
    CHECK_FAILS(mem3d_device_get_info(count, &info), MEM3D_STATUS_INVALID_ARGUMENT, "counted from 0");
    info.struct_size = 0;
    CHECK_FAILS(mem3d_device_get_info(0, &info), MEM3D_STATUS_INVALID_ARGUMENT, "struct_size of info is 0");

    CHECK_OK(mem3d_set_thread_count(1));
    CHECK_OK(mem3d_get_thread_count(&count));
    CHECK(count == 1);
    CHECK_FAILS(mem3d_set_thread_count(4000), MEM3D_STATUS_INVALID_ARGUMENT, "count is 4000");
    CHECK_OK(mem3d_set_thread_count(0));
    CHECK_OK(mem3d_get_thread_count(&count));
    CHECK(count >= 1);
    return 0;
}
