// The NVIDIA driver of the simulated device: what mem3d asks a driver for.

#include <stdio.h>

int cuDriverGetVersion(int *version)
{
    *version = 13000;
    return 0;
}

int cuInit(unsigned flags) { return flags != 0; }

int cuDeviceGet(int *device, int index)
{
    *device = index;
    return index != 0;
}

int cuDeviceGetName(char *name, int length, int device)
{
    (void)device;
    snprintf(name, (size_t)length, "simulated");
    return 0;
}
