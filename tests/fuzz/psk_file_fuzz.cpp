#include "fuzz/psk_file_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::pskFile({reinterpret_cast<const char*>(data), size});
  return 0;
}
