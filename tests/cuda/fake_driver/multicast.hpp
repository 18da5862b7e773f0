// Multicast objects: everything but the multicast. They can be made, passed on, joined, bound and
// mapped, but what is stored there reaches nobody, so no device says that it supports them.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>
#include <vector>

#include "cuda/fake_driver/memory.hpp"

namespace lockstep::cuda::fake {

inline constexpr std::string_view kNameOfMulticast = "lockstep-fake-multicast";

/// What all processes that have the object share: a page behind its memfd's bytes.
struct MulticastShared {
  std::size_t bytes = 0;
  unsigned devices = 0;
  std::atomic<DeviceSet> added = 0;
};

struct MulticastState {
  struct Binding {
    int device = 0;
    std::size_t offset = 0, bytes = 0;
    std::shared_ptr<Physical> memory;
  };

  std::shared_ptr<MulticastShared> shared;
  std::vector<Binding> bindings;  ///< of this process; under the lock of the address space
};

/// Throws invalidValue where the descriptor is none of a multicast object.
std::shared_ptr<Physical> importMulticast(int fd);

}  // namespace lockstep::cuda::fake
