// Device memory: memfds that are mapped. Another process that maps the same memfd has the same
// memory, as with the driver's.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/cuda/types.hpp"
#include "base/fd.hpp"
#include "cuda/fake_driver/protection.hpp"

namespace lockstep::cuda::fake {

struct MulticastState;

/// Memory, wherever it is mapped and whatever handles it has; gone with the last of them.
struct Physical {
  Fd file;
  std::size_t bytes = 0;
  int device = 0;
  bool imported = false;
  int handleTypes = 0;                        ///< of ShareableHandle
  std::shared_ptr<MulticastState> multicast;  ///< not null: no memory, but a multicast object

  ~Physical();
};

/// New memory of a device. It is not zero, as a GPU's is not: kJunk fills the beginning of it.
std::shared_ptr<Physical> makePhysical(std::size_t bytes, int device);
inline constexpr unsigned char kJunk = 0xdb;
/// Throws notSupported or notPermitted where memory, or a multicast object, cannot be shared so.
/// `types`: of ShareableHandle.
void requireHandleTypes(unsigned long long types);
/// The memory of a descriptor that came from anywhere. Throws invalidValue where it is none.
std::shared_ptr<Physical> importPhysical(int fd);

/// Which descriptor of which process memory is: what handles that are bytes hold. Whoever has one
/// opens it by /proc, for as long as that process keeps it.
struct Elsewhere {
  char magic[16] = "lockstep-handle";
  pid_t process = 0;
  int fd = -1;

  static Elsewhere of(const Physical& physical);
  /// Throws invalidValue for bytes that are none, and where there is nothing any more.
  std::shared_ptr<Physical> open() const;
};

/// Whence a mapping is.
enum class Origin { mapped, allocated, opened };

struct Mapped {
  std::size_t bytes = 0;
  std::shared_ptr<Physical> physical;
  Origin origin = Origin::mapped;
  DeviceSet access = 0;
};

struct Handle {
  std::shared_ptr<Physical> physical;
  int references = 0;
};

/// What lies where in this process.
struct AddressSpace {
  std::mutex mutex;
  std::map<DevicePtr, std::size_t> reservations;
  std::map<DevicePtr, Mapped> mappings;
  std::map<AllocationHandle, Handle> handles;
  AllocationHandle lastHandle = 0xfa50'0000'0000'0000;
  std::map<void*, std::size_t> pinned;  ///< host memory

  AllocationHandle addHandle(std::shared_ptr<Physical> physical);
  /// Throws invalidValue for an unknown one. Under the lock.
  std::shared_ptr<Physical> find(AllocationHandle handle) const;
  /// The mapping that has this address; nullptr: none does. Under the lock.
  const std::pair<const DevicePtr, Mapped>* at(DevicePtr address) const;
};
AddressSpace& space();

/// Throws invalidValue unless every byte is mapped with some device's access, or pinned.
void requireMapped(DevicePtr address, std::size_t bytes);
bool isPinned(const void* address);

inline void* toPointer(DevicePtr address) {
  return reinterpret_cast<void*>(address);
}
inline DevicePtr toAddress(const void* pointer) {
  return reinterpret_cast<DevicePtr>(pointer);
}

}  // namespace lockstep::cuda::fake
