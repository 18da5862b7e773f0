#include "transport/cuda/segments.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/mapping.hpp"

namespace lockstep::cuda {

namespace {

/// More than any GPU has, and little enough to be rounded up.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 48;

std::optional<Refusal> refuseSizes(std::span<const Member> members) {
  for (std::size_t r = 1; r < members.size(); ++r)
    if (members[r].bytes != members[0].bytes)
      return Refusal{static_cast<int>(r), ErrorCode::mismatch, false,
                     fmt::format("rank 0 wants segments of {} bytes, rank {} of {}",
                                 members[0].bytes, r, members[r].bytes)};
  if (members[0].bytes > kMostBytes)
    return Refusal{-1, ErrorCode::invalidArgument, false,
                   fmt::format("segments of {} bytes are more than any GPU has", members[0].bytes)};
  return std::nullopt;
}

std::uint64_t roundedSize(std::span<const Member> members) {
  std::uint64_t granularity = 1;  // powers of two: the largest is a multiple of all
  for (const Member& member : members) granularity = std::max(granularity, member.granularity);
  return roundUp(std::max<std::uint64_t>(1, members[0].bytes), granularity);
}

}  // namespace

Segments::Segments(Peers& peers, const PrimaryContext& context, std::uint64_t bytes,
                   Deadline deadline)
    : rank_(peers.rank()), context_(context) {
  survey(peers, bytes, deadline);
  map(peers, deadline);
}

void Segments::survey(Peers& peers, std::uint64_t bytes, Deadline deadline) {
  auto refusal = togetherTell<Member>(
      peers, deadline, [&] { return describeMember(context_, peers.worldSize(), bytes); },
      members_);
  if (!refusal) refusal = refuseSizes(members_);
  if (!refusal) refusal = together(peers, deadline, [&] { checkReach(context_, rank_, members_); });
  if (refusal) raiseTogether(peers, deadline, *refusal);
  bytes_ = roundedSize(members_);
}

void Segments::map(Peers& peers, Deadline deadline) {
  const Wish wish{peers, context_, members_, bytes_, deadline};
  std::string before;  // why not the ways before
  std::optional<Refusal> refusal;
  for (const Way& way : waysBetween(peers)) {
    views_.assign(members_.size(), {});
    refusal = way.map(wish, views_);
    description_ = before.empty() ? way.name : fmt::format("{}, because {}", way.name, before);
    if (!refusal) return;
    before += fmt::format("{}{}: {}", before.empty() ? "" : "; ", way.name, refusal->text);
    // Others' memory goes before they can give it back: they do that after one more exchange.
    dropOthers();
  }
  refusal->text = before;
  raiseTogether(peers, deadline, *refusal);
}

void Segments::dropOthers() noexcept {
  for (std::size_t r = 0; r < views_.size(); ++r)
    if (r != static_cast<std::size_t>(rank_)) views_[r] = {};
}

}  // namespace lockstep::cuda
