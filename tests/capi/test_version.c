/* The library is the one that the header describes. */
#include "check.h"

int main(void)
{
    CHECK(strcmp(mem3d_version(), MEM3D_VERSION) == 0);
    CHECK(mem3d_abi_version() == MEM3D_ABI_VERSION);
    CHECK(strncmp(mem3d_libtorch_version(), "2.11.", 5) == 0);
    char joined[32];
    snprintf(joined, sizeof joined, "%d.%d.%d", MEM3D_VERSION_MAJOR, MEM3D_VERSION_MINOR, MEM3D_VERSION_PATCH);
    CHECK(strcmp(joined, MEM3D_VERSION) == 0);
    return 0;
}
