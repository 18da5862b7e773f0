#include "fuzz/words_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::words(std::as_bytes(std::span(data, size)));
  return 0;
}
