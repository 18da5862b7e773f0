#include "fuzz/control_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::controlMessages(std::as_bytes(std::span(data, size)));
  return 0;
}
