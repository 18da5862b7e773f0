#include "executor/cuda/counts.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace lockstep::cuda {
namespace {

using schedule::Op;
using schedule::Operand;
using schedule::OpKind;

constexpr int kReaders = 2 * schedule::kMaxWorld;  ///< apart from writers

int channelOf(const Operand& o, bool writes) {
  const bool everyone = o.channel.reader == schedule::kEveryone;
  if (writes) return everyone ? schedule::kMaxWorld : o.channel.reader;
  return o.channel.writer + (everyone ? schedule::kMaxWorld : 0);
}

/// `at`: whose numbers these are.
std::string countTable(const std::vector<std::uint32_t>& values, int perRank, Numbers& numbers) {
  if (std::ranges::all_of(values, [](std::uint32_t v) { return v == 0; })) return "0";
  return fmt::format("{}[at * {} + i]", numbers.table(values), perRank);
}

}  // namespace

void Counts::add(const Instance& instance) {
  if (instance.program->lanes.empty()) return;
  for (const Op& op : instance.program->lanes.front()) {
    for (const Operand& o : op.dst)
      if (o.kind == Operand::Kind::channel) count(o, instance, true);
    for (const Operand& o : op.src)
      if (o.kind == Operand::Kind::channel) count(o, instance, false);
    if (op.kind == OpKind::move)
      for (const Operand& o : op.dst)
        if (o.seal) ++seals_[{instance.root, o.seal.sender, o.seal.receiver}];
  }
}

/// A reader's messages are counted apart from the writer's: both count from their own programs.
void Counts::count(const Operand& o, const Instance& instance, bool writes) {
  const int end = writes ? instance.rank : instance.rank + kReaders;
  ordinals_[&o] = ports_[{instance.root, end, channelOf(o, writes)}]++;
  if (writes) ++messages_[{instance.root, o.channel.writer, o.channel.reader}];
}

std::uint32_t Counts::at(const Table& table, const Key& key) {
  const auto found = table.find(key);
  return found == table.end() ? 0 : found->second;
}

std::string Counts::text(std::span<const int> roots, int world, bool byRoot,
                         Numbers& numbers) const {
  constexpr int everyone = schedule::kEveryone;
  std::vector<std::uint32_t> out, in, nonces;
  for (const int root : roots)
    for (int rank = 0; rank < world; ++rank) {
      for (int peer = 0; peer < world; ++peer) out.push_back(messages(root, rank, peer));
      out.push_back(messages(root, rank, everyone));
      for (int peer = 0; peer < world; ++peer) in.push_back(messages(root, peer, rank));
      for (int peer = 0; peer < world; ++peer)
        in.push_back(peer == rank ? 0 : messages(root, peer, everyone));
      for (int peer = 0; peer < world; ++peer) nonces.push_back(seals(root, rank, peer));
      for (int peer = 0; peer < world; ++peer) nonces.push_back(seals(root, peer, rank));
      for (int peer = 0; peer < world; ++peer) nonces.push_back(seals(root, peer, everyone));
    }
  const std::string outs = countTable(out, world + 1, numbers);
  const std::string ins = countTable(in, 2 * world, numbers);
  const std::string sealed = countTable(nonces, 3 * world, numbers);
  return fmt::format(R"(/// Messages and seals of a tile.
struct Counts {{
  static u32 at(u32 rank, [[maybe_unused]] u32 root) {{ return {}; }}
  static u32 out([[maybe_unused]] u32 at, [[maybe_unused]] u32 i) {{ return {}; }}
  static u32 in([[maybe_unused]] u32 at, [[maybe_unused]] u32 i) {{ return {}; }}
  static u32 nonces([[maybe_unused]] u32 at, [[maybe_unused]] u32 i) {{ return {}; }}
}};
)",
                     byRoot ? fmt::format("root * {} + rank", world) : "rank", outs, ins, sealed);
}

}  // namespace lockstep::cuda
