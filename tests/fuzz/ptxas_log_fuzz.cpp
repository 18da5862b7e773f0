#include <cstddef>
#include <cstdint>

#include "fuzz/ptxas_log_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::ptxasLog({reinterpret_cast<const char*>(data), size});
  return 0;
}
