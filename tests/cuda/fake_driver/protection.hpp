// Device memory is nothing for the host: its pages bear a protection key (pkeys(7)) that only the
// threads that play kernels or copy have, so a host thread that follows a device pointer gets
// SIGSEGV. There is a key per set of devices with access, and a kernel has those of its own device.
// Where the processor has no keys, or runs out of them, nothing is protected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace lockstep::cuda::fake {

/// A bit per device.
using DeviceSet = std::uint64_t;
inline constexpr DeviceSet kAllDevices = ~DeviceSet{0};

/// Lets `devices` access [at, at + bytes), and nothing else of this process; none: nobody.
void protect(void* at, std::size_t bytes, DeviceSet devices, bool writable = true);

/// While it lives, the calling thread may access the memory of any of these devices.
class DeviceAccess {
 public:
  explicit DeviceAccess(DeviceSet devices = kAllDevices);
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
  ~DeviceAccess();

 private:
  std::vector<std::pair<int, unsigned>> before_;  ///< key, and what the thread could do with it
};

}  // namespace lockstep::cuda::fake
