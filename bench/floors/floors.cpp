#include "bench/floors/floors.hpp"

namespace lockstep::floors {

const char* name(Group group) {
  switch (group) {
    case Group::registered:
      return "registered";
    case Group::ordinary:
      return "ordinary";
    case Group::sealed:
      return "sealed";
  }
  return "";
}

}  // namespace lockstep::floors
