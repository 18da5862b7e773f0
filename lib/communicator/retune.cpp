// Another tuning table for a communicator that lives: what a tuner needs to compare plans.
#include <algorithm>
#include <string>

#include "base/fail.hpp"
#include "cc_mode/digest.hpp"
#include "communicator/communicator_impl.hpp"

namespace lockstep {

namespace {

constexpr const char* kRetune = "retune";

/// Ranks with different tables would wait for each other for ever.
bool allGave(std::string_view json, Peers& peers, Deadline deadline) {
  const cc::Digest mine = cc::digest(json);
  bool same = true;
  for (const auto& bytes : peers.allGather(mine, deadline))
    same = same && std::ranges::equal(bytes, mine);
  return same;
}

}  // namespace

void CommunicatorImpl::retune(std::string_view json, std::string_view name) {
  const auto lock = enter();
  drain();
  checkUsable();
  TuningTable table = TuningTable::parse(json, name, machine());
  if (attachAbove_) table.attachPaysAbove(*attachAbove_);
  const shm::Talking talking(fabric_.mine().call, shm::Talk::retune);
  bool same = false;
  peers_->whileWaiting([this] { watch_.checkFailed(kRetune); });
  try {
    Control digests = control(kRetune);
    same = allGave(json, digests, Deadline::in(options_.timeout));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::mismatch)
      throw;  // all ranks saw other calls, before any of this
    throwFailed(kRetune, error);
  }
  if (!same)
    fail(ErrorCode::mismatch, "{}: the ranks gave different tables; give the same", kRetune);
  tuning_ = std::move(table);
  // What was chosen by the old table.
  last_ = nullptr;
  remembered_.fill({});
  carriedLast_ = {};
  expectDirect_.set();
}

}  // namespace lockstep
