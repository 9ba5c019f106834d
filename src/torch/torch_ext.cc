#include "mem3d/src/torch/torch_ext.h"

#include <stdexcept>
#include <string>

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/csrc/api/include/torch/version.h>

#ifdef __linux__
#include <dlfcn.h>
#endif

namespace mem3d {

rust::String libtorch_version() { return TORCH_VERSION; }

#ifdef __linux__

void open_cuda()
{
    // Beside the part of libtorch that is loaded already, so that the two always match.
    Dl_info info;
    std::string path = "libtorch_cuda.so";
    if (dladdr(reinterpret_cast<void *>(&c10::GetAllocator), &info) != 0 && info.dli_fname != nullptr) {
        const std::string beside = info.dli_fname;
        const auto slash = beside.rfind('/');
        if (slash != std::string::npos) path = beside.substr(0, slash + 1) + path;
    }
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
        const char *reason = dlerror();
        throw std::runtime_error(reason != nullptr ? reason : "libtorch_cuda.so cannot be opened");
    }
}

int32_t cuda_driver_version()
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (driver == nullptr) return 0;
    const auto get = reinterpret_cast<int (*)(int *)>(dlsym(driver, "cuDriverGetVersion"));
    int version = 0;
    return get != nullptr && get(&version) == 0 ? version : 0;
}

rust::String cuda_device_name(int32_t index)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (driver == nullptr) throw std::runtime_error("the NVIDIA driver (libcuda.so.1) is not installed");
    using Init = int (*)(unsigned);
    using Get = int (*)(int *, int);
    using Name = int (*)(char *, int, int);
    const auto init = reinterpret_cast<Init>(dlsym(driver, "cuInit"));
    const auto get = reinterpret_cast<Get>(dlsym(driver, "cuDeviceGet"));
    const auto name = reinterpret_cast<Name>(dlsym(driver, "cuDeviceGetName"));
    int device = 0;
    char text[256] = {};
    if (init == nullptr || get == nullptr || name == nullptr || init(0) != 0 || get(&device, index) != 0 ||
        name(text, sizeof text, device) != 0) {
        throw std::runtime_error("the NVIDIA driver does not tell the device's name");
    }
    return rust::String::lossy(text);
}

#else

void open_cuda() { throw std::runtime_error("CUDA is supported on Linux only"); }
int32_t cuda_driver_version() { return 0; }
rust::String cuda_device_name(int32_t) { throw std::runtime_error("CUDA is supported on Linux only"); }

#endif

int32_t cuda_runtime_version() { return static_cast<int32_t>(at::detail::getCUDAHooks().versionCUDART()); }

uint64_t cuda_memory_free(int32_t index)
{
    return c10::getDeviceAllocator(c10::kCUDA)->getMemoryInfo(static_cast<c10::DeviceIndex>(index)).first;
}

uint64_t cuda_memory_total(int32_t index)
{
    return c10::getDeviceAllocator(c10::kCUDA)->getMemoryInfo(static_cast<c10::DeviceIndex>(index)).second;
}

void empty_cuda_cache() { c10::getDeviceAllocator(c10::kCUDA)->emptyCache(); }

} // namespace mem3d
