#include "fuzz/shared_words_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::sharedWords(std::as_bytes(std::span(data, size)));
  return 0;
}
