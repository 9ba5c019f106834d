// A simulated CUDA device, in the place of libtorch's CUDA library: "cuda:0" with memory of its own account, whose
// operations are those of the CPU. Tests run the program on it where there is no GPU.
//
// As on a real device, tensors of device and host do not mix, memory runs out, what is freed stays in libtorch's stock
// until that is emptied, and after an index out of range nothing works any more. It does not show a real one's speed,
// its rounding, and whether its kernels exist.
//
// CUDA_SIMULATED_MEBIBYTES: memory of the device; 1024 by default.
// CUDA_SIMULATED_COUNTS: file for the number of calls of each operation, one a line, written at the end of the process.

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using Mutex = std::lock_guard<std::mutex>;

const c10::Device kDevice(c10::kCUDA, 0);

// ---------------------------------------------------------------- memory

/// How much of the device's memory is used; the memory itself is the host's.
struct Memory final : c10::DeviceAllocator {
    std::mutex mutex;
    size_t total = size_t{1024} << 20;
    size_t used = 0;
    /// Used, or freed and not given back yet.
    size_t taken = 0;

    void take(size_t bytes)
    {
        const Mutex lock(mutex);
        TORCH_CHECK_WITH(OutOfMemoryError, used + bytes <= total, "CUDA out of memory. Tried to allocate ", bytes,
                         " bytes; ", total - used, " are free.");
        used += bytes;
        taken = std::max(taken, used);
    }

    void give_back(size_t bytes)
    {
        const Mutex lock(mutex);
        used -= bytes;
    }

    std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex) override
    {
        const Mutex lock(mutex);
        return {total - taken, total};
    }

    void emptyCache(c10::MempoolId_t) override
    {
        const Mutex lock(mutex);
        taken = used;
    }

    bool initialized() override { return true; }
    c10::DataPtr allocate(size_t) override
    {
        TORCH_CHECK(false, "only operations make memory of the simulated device");
    }
    void copy_data(void *, const void *, size_t) const override { TORCH_CHECK(false, "not on the simulated device"); }
    void recordStream(const c10::DataPtr &, c10::Stream) override {}
    c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override { return {}; }
    void resetAccumulatedStats(c10::DeviceIndex) override {}
    void resetPeakStats(c10::DeviceIndex) override {}
};

// Never freed: tensors may outlive everything else.
Memory &memory()
{
    static auto *const one = new Memory;
    return *one;
}

// ---------------------------------------------------------------- what was called

struct Counts {
    std::mutex mutex;
    std::map<std::string, size_t> calls;

    void add(const std::string &name)
    {
        const Mutex lock(mutex);
        ++calls[name];
    }

    void write(const char *path)
    {
        const Mutex lock(mutex);
        FILE *file = std::fopen(path, "w");
        if (file == nullptr) return;
        for (const auto &[name, n] : calls) std::fprintf(file, "%zu %s\n", n, name.c_str());
        std::fclose(file);
    }
};

Counts &counts()
{
    static auto *const one = new Counts;
    return *one;
}

std::atomic<bool> failed{false};

void check_device(const std::string &at)
{
    TORCH_CHECK(!failed, "CUDA error: device-side assert triggered\n(simulated; at ", at, ")");
}

// ---------------------------------------------------------------- operations

/// Memory of the device in the place of what an operation of the CPU made.
c10::Storage on_device(const c10::Storage &made)
{
    struct Held {
        c10::Storage made;
        size_t bytes;
    };
    const auto release = [](void *context) {
        auto *const held = static_cast<Held *>(context);
        memory().give_back(held->bytes);
        delete held;
    };
    const size_t bytes = made.nbytes();
    memory().take(bytes);
    c10::DataPtr data(made.mutable_data(), new Held{made, bytes}, release, kDevice);
    return {c10::Storage::use_byte_size_t(), bytes, std::move(data), nullptr, false};
}

/// The same memory as the CPU sees it; it may be resized.
c10::Storage on_cpu(const c10::Storage &device)
{
    const auto release = [](void *context) { delete static_cast<c10::Storage *>(context); };
    c10::DataPtr data(device.mutable_data(), new c10::Storage(device), release, c10::kCPU);
    return {c10::Storage::use_byte_size_t(), device.nbytes(), std::move(data), c10::GetAllocator(c10::kCPU), true};
}

void shape_as(const at::Tensor &tensor, const at::Tensor &other)
{
    tensor.unsafeGetTensorImpl()->set_sizes_and_strides(other.sizes(), other.strides());
    tensor.unsafeGetTensorImpl()->set_storage_offset(other.storage_offset());
}

at::Tensor tensor_in(const c10::Storage &storage, c10::DispatchKey key, const at::Tensor &like)
{
    auto tensor =
        at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), c10::DispatchKeySet(key), like.dtype());
    shape_as(tensor, like);
    return tensor;
}

/// The tensors of one call of an operation.
struct Call {
    /// Those of the device, each with the same as the CPU sees it.
    std::vector<std::pair<at::Tensor, at::Tensor>> seen;
    std::map<c10::StorageImpl *, c10::Storage> storages;
    bool with_device = false;
    /// With a tensor of the host that is not a single number.
    bool with_host = false;

    at::Tensor enter(const at::Tensor &tensor)
    {
        if (!tensor.defined()) return tensor;
        if (!tensor.is_cuda()) {
            with_host |= tensor.dim() > 0;
            return tensor;
        }
        with_device = true;
        for (const auto &[device, cpu] : seen)
            if (device.is_same(tensor)) return cpu;
        auto &storage = storages[tensor.storage().unsafeGetStorageImpl()];
        if (!storage) storage = on_cpu(tensor.storage());
        auto cpu = tensor_in(storage, c10::DispatchKey::CPU, tensor);
        if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) cpu.unsafeGetTensorImpl()->set_wrapped_number(true);
        seen.emplace_back(tensor, cpu);
        return cpu;
    }

    /// An argument changed in place, a view of one, or something new.
    at::Tensor leave(const at::Tensor &tensor) const
    {
        if (!tensor.defined()) return tensor;
        for (const auto &[device, cpu] : seen) {
            if (cpu.is_same(tensor)) return device;
            if (cpu.storage().is_alias_of(tensor.storage()))
                return tensor_in(device.storage(), c10::DispatchKey::CUDA, tensor);
        }
        return tensor_in(on_device(tensor.storage()), c10::DispatchKey::CUDA, tensor);
    }

    /// Arguments that were resized or got another shape.
    void write_back() const
    {
        for (const auto &[device, cpu] : seen) {
            if (cpu.storage().data() != device.storage().data())
                device.unsafeGetTensorImpl()->set_storage_keep_dtype(on_device(cpu.storage()));
            shape_as(device, cpu);
        }
    }
};

/// Replaces every tensor of an argument or a result.
template <typename Replace>
void replace_tensors(c10::IValue &value, Replace replace)
{
    if (value.isTensor()) {
        value = replace(value.toTensor());
    } else if (value.isTensorList()) {
        c10::List<at::Tensor> list;
        for (const at::Tensor &tensor : value.toTensorVector()) list.push_back(replace(tensor));
        value = list;
    } else if (value.isOptionalTensorList()) {
        c10::List<std::optional<at::Tensor>> list;
        for (const auto &tensor : value.toOptionalTensorVector())
            list.push_back(replace(tensor.value_or(at::Tensor())));
        value = list;
    }
}

/// Whether libtorch takes tensors of host and device together: to copy, or as an index, which it copies.
bool may_mix(const std::string &name)
{
    static const std::set<std::string> names{"aten::copy_",        "aten::_copy_from", "aten::_copy_from_and_resize",
                                             "aten::index.Tensor", "aten::index_put_", "aten::_index_put_impl_"};
    return names.count(name) > 0;
}

/// An operation of the device, done by the CPU in its memory.
void run(const c10::OperatorHandle &op, c10::DispatchKeySet, torch::jit::Stack *stack)
{
    const auto &schema = op.schema();
    const std::string name =
        schema.overload_name().empty() ? schema.name() : schema.name() + "." + schema.overload_name();
    check_device(name);
    Call call;
    for (auto value = stack->end() - static_cast<long>(schema.arguments().size()); value != stack->end(); ++value) {
        if (value->isDevice()) {
            TORCH_CHECK(value->toDevice().index() <= 0, "CUDA error: invalid device ordinal");
            *value = c10::Device(c10::kCPU);
        }
        replace_tensors(*value, [&](const at::Tensor &tensor) { return call.enter(tensor); });
    }
    const bool mixed = call.with_host && call.with_device;
    TORCH_CHECK(!mixed || may_mix(name),
                "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and "
                "cpu! (in ",
                name, ")");
    counts().add(mixed ? name + " with the host" : name);
    try {
        op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
    } catch (const c10::IndexError &) {
        failed = true;
        check_device(name);
    }
    call.write_back();
    const bool to_host = name == "aten::_local_scalar_dense";
    for (auto value = stack->end() - static_cast<long>(schema.returns().size()); value != stack->end() && !to_host;
         ++value)
        replace_tensors(*value, [&](const at::Tensor &tensor) { return call.leave(tensor); });
}

/// `copy_`, whose first tensor may be the host's.
void copy(const c10::OperatorHandle &op, c10::DispatchKeySet keys, torch::jit::Stack *stack)
{
    const auto self = (*(stack->end() - static_cast<long>(op.schema().arguments().size()))).toTensor();
    run(op, keys, stack);
    stack->back() = self;
}

// ---------------------------------------------------------------- libtorch's places for a device

struct CUDAHooks final : at::CUDAHooksInterface {
    explicit CUDAHooks(at::CUDAHooksArgs) {}
    void init() const override {}
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasCUDA() const override { return true; }
    bool hasCUDART() const override { return true; }
    bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
    int getNumGPUs() const override { return 1; }
    c10::DeviceIndex deviceCount() const override { return 1; }
    c10::DeviceIndex current_device() const override { return 0; }
    c10::DeviceIndex getCurrentDevice() const override { return 0; }
    void deviceSynchronize(c10::DeviceIndex) const override
    {
        check_device("synchronize");
        counts().add("synchronize");
    }
};

struct Guard final : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA> {
    static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, kDevice); }
    c10::Device exchangeDevice(c10::Device) const override { return kDevice; }
    c10::Device getDevice() const override { return kDevice; }
    c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
    c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
    c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
};

/// Every operation that the CPU has becomes one of the device.
struct Registration {
    torch::Library library{torch::Library::IMPL, "aten", c10::DispatchKey::CUDA, __FILE__, __LINE__};

    Registration()
    {
        if (const char *mebibytes = std::getenv("CUDA_SIMULATED_MEBIBYTES"))
            memory().total = static_cast<size_t>(std::strtoull(mebibytes, nullptr, 10)) << 20;
        c10::SetAllocator(c10::kCUDA, &memory());
        auto &dispatcher = c10::Dispatcher::singleton();
        for (const auto &name : dispatcher.getAllOpNames()) {
            if (name.name.rfind("aten::", 0) != 0) continue;
            // These choose by the device what they call; here they are the CPU's as a whole.
            const bool whole = name.name == "aten::convolution" || name.name == "aten::copy_";
            const auto op = dispatcher.findOp(name);
            if (!op || (!whole && !op->hasKernelForDispatchKey(c10::DispatchKey::CPU))) continue;
            const auto full = name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
            library.impl(full.c_str(), name.name == "aten::copy_" ? torch::CppFunction::makeFromBoxedFunction<&copy>()
                                                                  : torch::CppFunction::makeFromBoxedFunction<&run>());
        }
    }

    ~Registration()
    {
        if (const char *path = std::getenv("CUDA_SIMULATED_COUNTS")) counts().write(path);
    }
};

const Registration registration;

} // namespace

namespace at {
REGISTER_CUDA_HOOKS(CUDAHooks)
} // namespace at

C10_REGISTER_GUARD_IMPL(CUDA, Guard)
