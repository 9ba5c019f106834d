/* A host in C. */
#include <mem3d.h>
#include <stdio.h>

int main(void)
{
    uint32_t devices = 0;
    if (mem3d_device_get_count(&devices) != MEM3D_STATUS_OK) {
        fprintf(stderr, "%s\n", mem3d_last_error());
        return 1;
    }
    printf("mem3d %s, libtorch %s, %u devices\n", mem3d_version(), mem3d_libtorch_version(), (unsigned)devices);
    return 0;
}
