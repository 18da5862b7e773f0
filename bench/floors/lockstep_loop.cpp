#include "bench/floors/lockstep_loop.hpp"

#include <cstring>

#include "base/fail.hpp"

namespace lockstep::floors {

std::unique_ptr<LockstepLoop> joinLockstep(Team& team, const Options& options, Collective op) {
  char* mailbox = team.takeShared<char>(kPage);
  if (team.rank() == 0) {
    const std::string text = UniqueId::create().text();
    if (text.size() >= kPage) fail(ErrorCode::internal, "a unique id of {} B", text.size());
    std::memcpy(mailbox, text.c_str(), text.size() + 1);
  }
  team.barrier();
  const UniqueId id = UniqueId::parse(team.at(0, mailbox));
  return std::make_unique<LockstepLoop>(
      Communicator::create(id, team.rank(), team.ranks(), options), op);
}

}  // namespace lockstep::floors
