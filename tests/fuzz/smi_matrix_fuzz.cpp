#include <cstddef>
#include <cstdint>

#include "fuzz/smi_matrix_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::smiMatrix({reinterpret_cast<const char*>(data), size});
  return 0;
}
