#include "collectives/verify/wiring.hpp"

#include <map>
#include <utility>

namespace lockstep::schedule {
namespace {

using Ends = std::vector<MessageEnd>;

/// The two sides of a channel, in program order.
struct ChannelUse {
  Ends sent;
  std::map<int, Ends> received;  ///< by reader
};

std::string nameOf(Channel c) {
  return fmt::format("channel {}>{}", c.writer,
                     c.reader == kEveryone ? std::string("*") : fmt::to_string(c.reader));
}

class Wirer {
 public:
  Wirer(const Schedule& schedule, Faults& faults) : schedule_(schedule), faults_(faults) {}

  Wiring wire() {
    listSites();
    for (const auto& [channel, use] : uses_) {
      expectOneLane(channel, use.sent, "written");
      for (const auto& [reader, ends] : use.received) expectOneLane(channel, ends, "read");
      pair(channel, use);
    }
    if (faults_.none()) fillSites();
    if (faults_.none()) traceForwards();
    return std::move(wiring_);
  }

 private:
  void listSites() {
    for (int rank = 0; rank < schedule_.shape.worldSize; ++rank) {
      const auto& lanes = schedule_.programs[rank].lanes;
      for (std::uint32_t lane = 0; lane < lanes.size(); ++lane, ++wiring_.chains)
        for (std::uint32_t index = 0; index < lanes[lane].size(); ++index) {
          wiring_.sites.push_back({rank, lane, index, wiring_.chains});
          listEnds(lanes[lane][index], rank);
        }
    }
  }

  void listEnds(const Op& op, int rank) {
    const auto site = static_cast<std::uint32_t>(wiring_.sites.size() - 1);
    for (std::uint32_t i = 0; i < op.dst.size(); ++i)
      if (op.dst[i].kind == Operand::Kind::channel)
        uses_[op.dst[i].channel].sent.push_back({site, i});
    for (std::uint32_t i = 0; i < op.src.size(); ++i)
      if (op.src[i].kind == Operand::Kind::channel)
        uses_[op.src[i].channel].received[rank].push_back({site, i});
  }

  void expectOneLane(Channel channel, const Ends& ends, const char* verb) {
    for (const MessageEnd& end : ends)
      if (wiring_.sites[end.site].chain != wiring_.sites[ends.front().site].chain) {
        const Site& a = wiring_.sites[ends.front().site];
        faults_.add("{} is {} by two lanes, {} and {}, of rank {}", nameOf(channel), verb, a.lane,
                    wiring_.sites[end.site].lane, a.rank);
        return;
      }
  }

  void pair(Channel channel, const ChannelUse& use) {
    const auto first = static_cast<std::uint32_t>(wiring_.messages.size());
    const auto perTile = static_cast<std::uint32_t>(use.sent.size());
    for (std::uint32_t j = 0; j < perTile; ++j)
      wiring_.messages.push_back({.channel = channel,
                                  .index = j,
                                  .perTile = perTile,
                                  .first = first,
                                  .sent = use.sent[j],
                                  .received = {},
                                  .origin = first + j});
    for (int reader = 0; reader < schedule_.shape.worldSize; ++reader)
      if (reader != channel.writer && (channel.reader == kEveryone || channel.reader == reader))
        pairReader(channel, use, reader, first);
  }

  void pairReader(Channel channel, const ChannelUse& use, int reader, std::uint32_t first) {
    const auto found = use.received.find(reader);
    const Ends none;
    const Ends& ends = found == use.received.end() ? none : found->second;
    if (ends.size() != use.sent.size()) {
      const bool lost = ends.size() < use.sent.size();
      const MessageEnd odd = lost ? use.sent[ends.size()] : ends[use.sent.size()];
      faults_.add("{}: rank {} sends {} messages per tile but rank {} receives {}; {} has no {}",
                  nameOf(channel), channel.writer, use.sent.size(), reader, ends.size(),
                  describe(schedule_, wiring_.sites[odd.site]), lost ? "receive" : "send");
      return;
    }
    for (std::uint32_t j = 0; j < ends.size(); ++j) {
      Message& message = wiring_.messages[first + j];
      const Range sent =
          opAt(schedule_, wiring_.sites[message.sent.site]).dst[message.sent.operand].range;
      const Site& at = wiring_.sites[ends[j].site];
      const Range expected = opAt(schedule_, at).src[ends[j].operand].range;
      if (sent != expected)
        faults_.add("{}: message {} carries chunks {}+{} but {} expects {}+{}", nameOf(channel), j,
                    sent.chunk, sent.chunks, describe(schedule_, at), expected.chunk,
                    expected.chunks);
      message.received.push_back(ends[j]);
    }
  }

  void fillSites() {
    wiring_.sends.resize(wiring_.sites.size());
    wiring_.receives.resize(wiring_.sites.size());
    // By operand first, since one operation may use several channels.
    std::vector<std::map<std::uint32_t, std::uint32_t>> sends(wiring_.sites.size());
    std::vector<std::map<std::uint32_t, std::uint32_t>> receives(wiring_.sites.size());
    for (std::uint32_t m = 0; m < wiring_.messages.size(); ++m) {
      const Message& message = wiring_.messages[m];
      sends[message.sent.site][message.sent.operand] = m;
      for (const MessageEnd& end : message.received) receives[end.site][end.operand] = m;
    }
    for (std::size_t site = 0; site < wiring_.sites.size(); ++site) {
      for (const auto& [operand, m] : sends[site]) wiring_.sends[site].push_back(m);
      for (const auto& [operand, m] : receives[site]) wiring_.receives[site].push_back(m);
    }
  }

  void traceForwards() {
    for (Message& message : wiring_.messages) {
      const Message* at = &message;
      std::size_t hops = 0;
      while (opAt(schedule_, wiring_.sites[at->sent.site]).kind == OpKind::forward) {
        if (++hops > wiring_.messages.size()) {
          faults_.add("{}: message {} is forwarded in a circle (circular wait): no one sends it",
                      nameOf(message.channel), message.index);
          break;
        }
        at = &wiring_.messages[wiring_.receives[at->sent.site].front()];
      }
      message.origin = static_cast<std::uint32_t>(at - wiring_.messages.data());
    }
  }

  const Schedule& schedule_;
  Faults& faults_;
  Wiring wiring_;
  std::map<Channel, ChannelUse> uses_;
};

}  // namespace

Wiring wire(const Schedule& schedule, Faults& faults) {
  return Wirer(schedule, faults).wire();
}

std::string describe(const Schedule& schedule, const Site& site) {
  return fmt::format("rank {} lane {} op {} ({})", site.rank, site.lane, site.index,
                     toString(opAt(schedule, site)));
}

}  // namespace lockstep::schedule
