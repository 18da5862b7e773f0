#include <cstddef>
#include <cstdint>

#include "fuzz/cache_file_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::cacheFile({reinterpret_cast<const char*>(data), size});
  return 0;
}
