// Copies and fills: in stream order, on the stream's thread, which alone may touch device memory.
#include <cstring>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/captures.hpp"
#include "cuda/fake_driver/memory.hpp"
#include "cuda/fake_driver/streams.hpp"

namespace lockstep::cuda::fake {
namespace {

Work copying(void* to, const void* from, std::size_t bytes) {
  return [=] {
    const DeviceAccess access;
    std::memmove(to, from, bytes);
  };
}

/// What an ordinary copy does: in the default stream, and done when it returns.
void copyNow(void* to, const void* from, std::size_t bytes) {
  refuseInCapture();
  submit(find(nullptr), copying(to, from, bytes)).wait();
}

}  // namespace

void memcpyHtoD(DevicePtr to, const void* from, std::size_t bytes) {
  require(from != nullptr || bytes == 0);
  requireMapped(to, bytes);
  copyNow(toPointer(to), from, bytes);
}

void memcpyDtoH(void* to, DevicePtr from, std::size_t bytes) {
  require(to != nullptr || bytes == 0);
  requireMapped(from, bytes);
  copyNow(to, toPointer(from), bytes);
}

void memcpyDtoD(DevicePtr to, DevicePtr from, std::size_t bytes) {
  requireMapped(to, bytes);
  requireMapped(from, bytes);
  copyNow(toPointer(to), toPointer(from), bytes);
}

void memcpyHtoDAsync(DevicePtr to, const void* from, std::size_t bytes, StreamHandle handle) {
  require(from != nullptr || bytes == 0);
  requireMapped(to, bytes);
  const auto stream = find(handle);
  CaptureStatus status = CaptureStatus::none;
  streamIsCapturing(handle, &status);
  if (isPinned(from) || status != CaptureStatus::none) {
    submit(stream, copying(toPointer(to), from, bytes));
    return;
  }
  // Ordinary memory is staged: it is the caller's again when the call returns.
  const auto* const first = static_cast<const unsigned char*>(from);
  submit(stream, [to, staged = std::vector(first, first + bytes)] {
    copying(toPointer(to), staged.data(), staged.size())();
  });
}

void memcpyDtoHAsync(void* to, DevicePtr from, std::size_t bytes, StreamHandle handle) {
  require(to != nullptr || bytes == 0);
  requireMapped(from, bytes);
  const auto place = submit(find(handle), copying(to, toPointer(from), bytes));
  if (!isPinned(to)) place.wait();  // as the driver does
}

void memcpyDtoDAsync(DevicePtr to, DevicePtr from, std::size_t bytes, StreamHandle handle) {
  requireMapped(to, bytes);
  requireMapped(from, bytes);
  submit(find(handle), copying(toPointer(to), toPointer(from), bytes));
}

void memsetD8Async(DevicePtr to, unsigned char value, std::size_t bytes, StreamHandle handle) {
  requireMapped(to, bytes);
  submit(find(handle), [=] {
    const DeviceAccess access;
    std::memset(toPointer(to), value, bytes);
  });
}

void streamWriteValue64(StreamHandle handle, DevicePtr to, std::uint64_t value, unsigned flags) {
  require(flags == kStreamWriteValueDefault && to % sizeof value == 0);
  requireMapped(to, sizeof value);
  submit(find(handle), [=] {
    const DeviceAccess access;
    __atomic_store_n(static_cast<std::uint64_t*>(toPointer(to)), value, __ATOMIC_RELEASE);
  });
}

}  // namespace lockstep::cuda::fake
