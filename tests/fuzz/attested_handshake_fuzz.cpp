#include "fuzz/handshake_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::handshake(std::as_bytes(std::span(data, size)), lockstep::fuzz::KnownBy::quotes);
  return 0;
}
