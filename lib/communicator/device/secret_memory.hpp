// Device memory that holds keys or what is not to be seen: zeroed before it is given back.
#pragma once

#include "base/cuda/memory.hpp"

namespace lockstep::gpu {

class SecretMemory {
 public:
  SecretMemory(const cuda::PrimaryContext& context, std::size_t bytes)
      : memory_(cuda::DeviceMemory::allocate(context, bytes)) {}
  SecretMemory(const SecretMemory&) = delete;
  SecretMemory& operator=(const SecretMemory&) = delete;
  ~SecretMemory() {
    try {
      cuda::zero(memory_.context(), memory_.address(), memory_.bytes());
    } catch (...) {  // the device is gone, and what it held with it
    }
  }

  cuda::DevicePtr address() const noexcept { return memory_.address(); }
  template <class T>
  T* pointer() const noexcept {
    return memory_.pointer<T>();
  }

 private:
  cuda::DeviceMemory memory_;
};

}  // namespace lockstep::gpu
