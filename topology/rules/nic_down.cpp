// A NIC's port that is down while its siblings are up.
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

struct Siblings {
  std::vector<NodeId> up, down;
};

void look(const Graph& graph, std::vector<Problem>& problems) {
  const Inventory& inventory = graph.inventory();
  // The same port of each card of a model: where all second ports are free, that is meant.
  using Key = std::tuple<int, std::optional<std::uint16_t>, std::optional<std::uint16_t>,
                         std::uint8_t, int>;
  std::map<Key, Siblings> all;
  for (const NodeId id : graph.ofKind(NodeKind::nic)) {
    const Node& node = graph.node(id);
    if (node.bare || node.pci == kNone) continue;
    const Nic& nic = inventory.nics[static_cast<std::size_t>(node.row)];
    const PciDevice& card = inventory.pci[static_cast<std::size_t>(node.pci)];
    if (!nic.up.has_value()) continue;
    Siblings& siblings = all[{node.host, card.vendor, card.device, node.bus.function, nic.port}];
    (*nic.up ? siblings.up : siblings.down).push_back(id);
  }
  for (const auto& [key, siblings] : all) {
    if (siblings.down.empty() || siblings.down.size() > siblings.up.size()) continue;
    problems.push_back(
        {Severity::warning,
         {},
         list(graph, siblings.down),
         fmt::format("{} down, while {} of the same kind {} up",
                     agree(siblings.down.size(), "is", "are"), list(graph, siblings.up),
                     agree(siblings.up.size(), "is", "are")),
         "look at the cable, the transceiver and the switch's port (`ibstat`, `ip link`); if it "
         "is not meant to be used, leave it"});
  }
}

}  // namespace

extern const Rule kRulesNicDown{"nic-down", "a NIC's port that is down beside others that are up",
                                look};

}  // namespace lockstep::topology
