// The few libtorch calls that the tch crate lacks. See torch_ext.rs.
#pragma once

#include <cstdint>

#include "rust/cxx.h"

namespace mem3d {

rust::String libtorch_version();
void open_cuda();
int32_t cuda_driver_version();
int32_t cuda_runtime_version();
rust::String cuda_device_name(int32_t index);
uint64_t cuda_memory_free(int32_t index);
uint64_t cuda_memory_total(int32_t index);
void empty_cuda_cache();

} // namespace mem3d
