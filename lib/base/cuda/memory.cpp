#include "base/cuda/memory.hpp"

#include <cstring>

#include "base/cuda/stream.hpp"
#include "base/fail.hpp"

namespace lockstep::cuda {

namespace {

void refuseNothing(std::size_t bytes) {
  if (bytes == 0) fail(ErrorCode::invalidArgument, "cannot allocate 0 bytes");
}

/// Runs `work` in a stream of its own and waits for that. The default stream would wait for kernels
/// of other ranks of this process, which may be waiting for this one.
template <class Work>
void aside(const PrimaryContext& context, Work work) {
  const Current current(context);
  const Stream stream = Stream::create(context);
  work(stream.handle());
  stream.synchronize();
}

}  // namespace

DeviceMemory DeviceMemory::allocate(const PrimaryContext& context, std::size_t bytes) {
  refuseNothing(bytes);
  const Current current(context);
  DevicePtr address = 0;
  check(driver().memAlloc(&address, bytes), "allocate {} bytes on GPU {}", bytes, context.device());
  DeviceMemory memory;
  memory.memory_ = {context, address};
  memory.bytes_ = bytes;
  return memory;
}

IpcMemoryHandle DeviceMemory::exportIpc() const {
  const Current current(context());
  IpcMemoryHandle handle{};
  check(driver().ipcGetMemHandle(&handle, address()),
        "export memory of GPU {} to other processes by CUDA IPC", context().device());
  return handle;
}

HostMemory HostMemory::allocate(const PrimaryContext& context, std::size_t bytes) {
  refuseNothing(bytes);
  const Current current(context);
  void* data = nullptr;
  check(driver().memHostAlloc(&data, bytes, kHostPortable | kHostDeviceMap),
        "pin {} bytes of host memory", bytes);
  HostMemory memory;
  memory.memory_ = {context, data};
  memory.bytes_ = bytes;
  check(driver().memHostGetDevicePointer(&memory.address_, data, 0),
        "show pinned host memory to GPU {}", context.device());
  std::memset(data, 0, bytes);
  return memory;
}

IpcMemory IpcMemory::open(const PrimaryContext& context, const IpcMemoryHandle& handle) {
  const Current current(context);
  DevicePtr address = 0;
  check(driver().ipcOpenMemHandle(&address, handle, kIpcLazyEnablePeerAccess),
        "map another process's memory on GPU {} by CUDA IPC", context.device());
  IpcMemory memory;
  memory.memory_ = {context, address};
  return memory;
}

void copyToDevice(const PrimaryContext& context, DevicePtr to, std::span<const std::byte> from) {
  aside(context, [&](StreamHandle stream) {
    check(driver().memcpyHtoDAsync(to, from.data(), from.size(), stream), "copy {} bytes to GPU {}",
          from.size(), context.device());
  });
}

void copyToHost(const PrimaryContext& context, std::span<std::byte> to, DevicePtr from) {
  aside(context, [&](StreamHandle stream) {
    check(driver().memcpyDtoHAsync(to.data(), from, to.size(), stream), "copy {} bytes from GPU {}",
          to.size(), context.device());
  });
}

void copyToDevice(const PrimaryContext& context, const Stream& stream, DevicePtr to,
                  std::span<const std::byte> from) {
  const Current current(context);
  check(driver().memcpyHtoDAsync(to, from.data(), from.size(), stream.handle()),
        "copy {} bytes to GPU {}", from.size(), context.device());
  stream.synchronize();
}

void copyToHost(const PrimaryContext& context, const Stream& stream, std::span<std::byte> to,
                DevicePtr from) {
  const Current current(context);
  check(driver().memcpyDtoHAsync(to.data(), from, to.size(), stream.handle()),
        "copy {} bytes from GPU {}", to.size(), context.device());
  stream.synchronize();
}

void zero(const PrimaryContext& context, DevicePtr at, std::size_t bytes) {
  aside(context, [&](StreamHandle stream) {
    check(driver().memsetD8Async(at, 0, bytes, stream), "zero {} bytes on GPU {}", bytes,
          context.device());
  });
}

}  // namespace lockstep::cuda
