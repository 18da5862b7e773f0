#include "executor/prepare.hpp"

#include <utility>

#include "cc_mode/secure_pass.hpp"

namespace lockstep {

schedule::Schedule prepareSchedule(const schedule::Algorithm& algorithm, Mode mode, int worldSize,
                                   bool inPlace, int root) {
  const bool multicast = isMulticast(mode);
  schedule::Schedule schedule = schedule::generate(
      algorithm,
      {.worldSize = worldSize, .inPlace = inPlace, .multicast = multicast, .root = root});
  if (!multicast) schedule = schedule::deliverUnicast(std::move(schedule));
  if (isSealed(mode)) schedule = cc::secure(std::move(schedule), multicast);
  return schedule;
}

}  // namespace lockstep
