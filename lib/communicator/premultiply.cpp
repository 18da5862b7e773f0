#include "communicator/premultiply.hpp"

#include "base/fail.hpp"
#include "executor/host/scale.hpp"

namespace lockstep {

void checkFactor(Collective collective, DataType type, double factor) {
  if (!host::canScale(type, factor))
    fail(ErrorCode::invalidArgument,
         "{}: factor {} of a premultiplied sum; for {} it is a whole number of that type",
         name(collective), factor, name(type));
}

void* Premultiplier::multiply(DataType type, double factor, const void* in, std::size_t bytes,
                              void* out) {
  if (out == nullptr) {
    if (products_.size() < bytes) {
      products_.reset();  // not both at once
      products_ = Mapping::anonymous(bytes);
    }
    out = products_.data();
  }
  host::scale(type, in, out, bytes / sizeOf(type), factor);
  return out;
}

}  // namespace lockstep
