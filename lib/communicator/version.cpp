#include <lockstep/communicator.hpp>

namespace lockstep {

std::string_view version() {
  return "0.1.0";
}

}  // namespace lockstep
