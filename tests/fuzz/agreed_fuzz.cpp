#include "fuzz/agreed_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::agreedMessages(std::as_bytes(std::span(data, size)));
  return 0;
}
