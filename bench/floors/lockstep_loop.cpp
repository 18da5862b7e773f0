#include "bench/floors/lockstep_loop.hpp"

#include <cstring>

#include "base/fail.hpp"

namespace lockstep::floors {

std::unique_ptr<LockstepLoop> joinLockstep(Pair& pair, const Options& options, Collective op) {
  char* mailbox = pair.takeShared<char>(kPage);
  if (pair.rank() == 0) {
    const std::string text = UniqueId::create().text();
    if (text.size() >= kPage) fail(ErrorCode::internal, "a unique id of {} B", text.size());
    std::memcpy(mailbox, text.c_str(), text.size() + 1);
  }
  pair.barrier();
  const UniqueId id = UniqueId::parse(pair.rank() == 0 ? mailbox : pair.theirs(mailbox));
  return std::make_unique<LockstepLoop>(Communicator::create(id, pair.rank(), 2, options), op);
}

}  // namespace lockstep::floors
