// The public face of base/cuda/devices.hpp; it is here because only this folder's objects are all
// in the shared library.
#include "base/cuda/devices.hpp"

namespace lockstep {

Devices devices() {
  return cuda::listDevices();
}

}  // namespace lockstep
