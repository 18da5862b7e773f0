#include "topology/probes/nvml/words.hpp"

#include <fmt/format.h>

namespace lockstep::topology::nvml {

std::string describe(Return result) {
  switch (result) {
    case Return::noPermission:
      return "this user may not ask (see who may open /dev/nvidia*)";
    case Return::timeout:
      return "the driver gave up waiting for the GPU";
    case Return::gpuIsLost:
      return "the GPU is lost (it fell off the bus; reset it, or the machine)";
    case Return::resetRequired:
      return "the GPU needs a reset";
    case Return::gpuNotFound:
      return "the GPU is not there any more";
    case Return::argumentVersionMismatch:
      return "the driver is too old, or too new, for the question";
    default:
      return fmt::format("NVML's error {}", static_cast<std::uint32_t>(result));
  }
}

std::string_view describe(P2pStatus status) {
  switch (status) {
    case P2pStatus::ok:
      return "OK";
    case P2pStatus::chipsetNotSupported:
      return "chipset not supported";
    case P2pStatus::gpuNotSupported:
      return "GPU not supported";
    case P2pStatus::topologyNotSupported:
      return "topology not supported";
    case P2pStatus::disabledByRegkey:
      return "disabled by a registry key of the driver";
    case P2pStatus::notSupported:
      return "not supported";
    case P2pStatus::unknown:
      break;
  }
  return "unknown";
}

}  // namespace lockstep::topology::nvml
