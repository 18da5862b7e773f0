#include "communicator/family.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/fail.hpp"
#include "base/secret.hpp"
#include "communicator/communicator_impl.hpp"

namespace lockstep {

namespace family {

namespace {

constexpr std::array<std::string_view, 3> kNames{"split", "duplicate", "shrink"};

}  // namespace

std::string_view name(How how) {
  return kNames[static_cast<std::size_t>(how)];
}

std::vector<Wish> exchange(Peers& peers, const Wish& mine, Deadline deadline) {
  const auto said = peers.allGather(std::as_bytes(std::span(&mine, 1)), deadline);
  std::vector<Wish> wishes(said.size());
  for (std::size_t r = 0; r < said.size(); ++r) {
    const bool fits = said[r].size() == sizeof(Wish);
    if (fits) std::memcpy(&wishes[r], said[r].data(), sizeof(Wish));
    if (fits && wishes[r].how == mine.how && wishes[r].number == mine.number) continue;
    const bool known = fits && static_cast<std::size_t>(wishes[r].how) < kNames.size();
    throw Error(
        ErrorCode::mismatch, static_cast<int>(r), std::string(name(mine.how)),
        fmt::format(
            "{}: rank {} called {} when rank {} called {}; all ranks must make the "
            "same calls in the same order",
            name(mine.how), r,
            known ? fmt::format("{} (child number {})", name(wishes[r].how), wishes[r].number)
                  : "something else",
            peers.rank(), fmt::format("{} (child number {})", name(mine.how), mine.number)));
  }
  return wishes;
}

std::vector<int> membersWith(std::span<const Wish> wishes, int rank) {
  const auto of = [&](int r) -> const Wish& { return wishes[static_cast<std::size_t>(r)]; };
  std::vector<int> members;
  if (of(rank).color < 0) return members;
  for (int r = 0; r < static_cast<int>(wishes.size()); ++r)
    if (of(r).color == of(rank).color) members.push_back(r);
  std::ranges::stable_sort(members, {}, [&](int r) { return of(r).key; });
  return members;
}

std::vector<std::uint64_t> countsOf(Peers& peers, std::uint64_t mine, Deadline deadline) {
  const auto said = peers.allGather(std::as_bytes(std::span(&mine, 1)), deadline);
  std::vector<std::uint64_t> counts(said.size());
  for (std::size_t r = 0; r < said.size(); ++r)
    if (said[r].size() == sizeof mine) std::memcpy(&counts[r], said[r].data(), sizeof mine);
  return counts;
}

}  // namespace family

using family::How;
using Impl = std::shared_ptr<CommunicatorImpl>;

Impl CommunicatorImpl::split(int color, int key) {
  return bear({.how = How::split, .color = color, .key = key});
}

Impl CommunicatorImpl::duplicate() {
  return bear({.how = How::duplicate, .key = rank()});
}

Impl CommunicatorImpl::bear(family::Wish wish) {
  const auto lock = enter();
  drain();
  checkUsable();
  const std::string_view what = name(wish.how);
  const shm::Talking talking(fabric_.mine().call,
                             wish.how == How::split ? shm::Talk::split : shm::Talk::duplicate);
  const Deadline deadline = Deadline::in(options_.timeout);
  peers_->whileWaiting([this, what] { watch_.checkFailed(what); });
  wish.number = births_;
  try {
    Control wishes = control(what);
    const auto members = membersWith(family::exchange(wishes, wish, deadline), rank());
    ++births_;
    auto peers = peers_->group(members, deadline);
    if (peers == nullptr) return nullptr;
    return child({.how = what, .number = wish.number, .color = wish.color, .ranks = members},
                 std::move(peers));
  } catch (const Error& error) {
    // All ranks saw different wishes, and nothing has happened. Anything else may have hit some
    // ranks only.
    if (error.code() == ErrorCode::mismatch && births_ == wish.number) throw;
    throwFailed(what, error);
  } catch (...) {
    std::rethrow_exception(giveUp());
  }
}

Impl CommunicatorImpl::shrink() {
  const auto lock = enter();  // what is in the queue waits, perhaps for ranks that are gone
  checkNotForked();
  const std::string_view what = name(How::shrink);
  const Deadline deadline = Deadline::in(options_.timeout);
  peers_->whileWaiting([] {});  // whatever failed before
  Impl result;
  try {
    peers_->shrink(
        [&](std::unique_ptr<Peers> peers, std::span<const int> members) {
          result.reset();  // which a death has spoilt
          // Some ranks may have failed in a split that others never came to. What they say of it
          // cannot be sealed, since they may have counted that differently too.
          const auto counts = family::countsOf(*peers, births_++, deadline);
          const std::uint64_t number = std::ranges::max(counts);
          result =
              child({.how = what, .number = number, .color = 0, .ranks = members, .counts = counts},
                    std::move(peers));
          births_ = std::max(births_, number + 1);  // which the child's keys have confirmed
        },
        deadline);
  } catch (const Error& error) {
    poison(error.code(), error.rank());
    throw Error(error.code(), error.rank(), std::string(what),
                fmt::format("{}: {}", what, error.what()));
  } catch (...) {
    poison(ErrorCode::system, rank());  // no memory, most likely
    throw;
  }
  return result;
}

/// Collective among the members. Errors name ranks as this communicator counts them.
Impl CommunicatorImpl::child(const cc::Birth& birth, std::unique_ptr<Peers> peers) const {
  Options options = options_;
  options.psk = lineage_.childPsk(birth);
  const WipeAtEnd wiper(options.psk);
  try {
    const Deadline deadline = Deadline::in(options_.timeout);
    return std::make_shared<CommunicatorImpl>(std::move(peers), std::move(options), deadline, this);
  } catch (const Error& error) {
    const bool blames = error.rank() >= 0 && error.rank() < static_cast<int>(birth.ranks.size());
    const int blamed = blames ? birth.ranks[static_cast<std::size_t>(error.rank())] : -1;
    throw Error(
        error.code(), blamed, error.operation(),
        fmt::format(
            "in the new communicator of {} ranks: {}{}", birth.ranks.size(), error.what(),
            blames ? fmt::format(" (rank {} there is rank {} here)", error.rank(), blamed) : ""));
  }
}

}  // namespace lockstep
