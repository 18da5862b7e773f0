#include <cstddef>
#include <cstdint>

#include "fuzz/hwloc_xml_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::hwlocXml({reinterpret_cast<const char*>(data), size});
  return 0;
}
