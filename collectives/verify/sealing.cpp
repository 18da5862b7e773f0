#include "collectives/verify/sealing.hpp"

#include <map>
#include <utility>

namespace lockstep::schedule {
namespace {

std::string keyName(const Seal& seal) {
  return seal.receiver == kEveryone ? fmt::format("the group key of rank {}", seal.sender)
                                    : fmt::format("key {}>{}", seal.sender, seal.receiver);
}

std::string nameOf(const Seal& seal) {
  return seal ? fmt::format("{} index {}", keyName(seal), seal.index) : std::string("no seal");
}

class Inspector {
 public:
  Inspector(const Schedule& schedule, const Wiring& wiring, Faults& faults)
      : schedule_(schedule), wiring_(wiring), faults_(faults) {}

  void inspect() {
    if (schedule_.exposes)
      faults_.add("exposed memory under sealing: peers would read and write plaintext");
    for (const Site& site : wiring_.sites) inspectMemory(site);
    for (const Message& message : wiring_.messages) {
      inspectSender(message);
      for (const MessageEnd& end : message.received) inspectReader(message, end);
    }
    inspectIndices();
  }

 private:
  /// The executor would count a nonce that nothing is sealed with.
  void inspectMemory(const Site& site) {
    const Op& op = opAt(schedule_, site);
    for (const auto* operands : {&op.dst, &op.src})
      for (const Operand& o : *operands)
        if (o.kind == Operand::Kind::memory && o.seal)
          faults_.add("{} has {} on memory, which is never sealed", at(site), nameOf(o.seal));
  }

  void inspectSender(const Message& message) {
    const Site& site = wiring_.sites[message.sent.site];
    const Seal& seal = written(message);
    if (!seal) return faults_.add("plaintext: {} sends without a seal", at(site));
    const bool seals = opAt(schedule_, site).kind == OpKind::move;
    if (seals) {
      if (seal.sender != site.rank)
        faults_.add("{} seals under {}, which is not its own", at(site), keyName(seal));
      return;
    }
    const Seal& carried = carriedBy(message);
    if (seal != carried)
      faults_.add("{} forwards {} as if it were {}", at(site), nameOf(carried), nameOf(seal));
    if (carried && carried.receiver != kEveryone)
      faults_.add("{} forwards what is under {}, which no one further on can open", at(site),
                  keyName(carried));
  }

  void inspectReader(const Message& message, const MessageEnd& end) {
    const Site& site = wiring_.sites[end.site];
    const Op& op = opAt(schedule_, site);
    const Seal& expected = op.src[end.operand].seal;
    const Seal& carried = carriedBy(message);
    if (expected != carried)
      faults_.add("{} expects {} but the message carries {}", at(site), nameOf(expected),
                  nameOf(carried));
    if (opens(op) && carried.receiver != kEveryone && carried.receiver != site.rank)
      faults_.add("{} opens what is under {}, which it does not hold", at(site), keyName(carried));
  }

  /// A forward that only passes on leaves the message shut.
  static bool opens(const Op& op) {
    if (op.kind == OpKind::move) return true;
    for (const Operand& dst : op.dst)
      if (dst.kind == Operand::Kind::memory) return true;
    return false;
  }

  /// Nonces: distinct under each key, and 0..K-1, as base + tile * K + index needs.
  void inspectIndices() {
    std::map<std::pair<int, int>, std::map<std::uint32_t, const Message*>> used;
    for (const Message& message : wiring_.messages) {
      const Seal& seal = written(message);
      if (!seal || opAt(schedule_, wiring_.sites[message.sent.site]).kind != OpKind::move) continue;
      const auto [other, isNew] =
          used[{seal.sender, seal.receiver}].try_emplace(seal.index, &message);
      if (!isNew)
        faults_.add("nonce used twice: {} in {} and in {}", nameOf(seal),
                    at(wiring_.sites[other->second->sent.site]),
                    at(wiring_.sites[message.sent.site]));
    }
    for (const auto& [key, indices] : used)
      if (const std::uint32_t last = indices.rbegin()->first; last + 1 != indices.size())
        faults_.add("the indices of {} have a gap: {} messages, up to index {}",
                    keyName({.sender = key.first, .receiver = key.second, .index = 0}),
                    indices.size(), last);
  }

  const Seal& written(const Message& message) const {
    return opAt(schedule_, wiring_.sites[message.sent.site]).dst[message.sent.operand].seal;
  }

  /// The seal that was really made, however often the message was forwarded since.
  const Seal& carriedBy(const Message& message) const {
    return written(wiring_.messages[message.origin]);
  }

  std::string at(const Site& site) const { return describe(schedule_, site); }

  const Schedule& schedule_;
  const Wiring& wiring_;
  Faults& faults_;
};

}  // namespace

void checkSealing(const Schedule& schedule, const Wiring& wiring, Faults& faults) {
  Inspector(schedule, wiring, faults).inspect();
}

}  // namespace lockstep::schedule
