// GPUs that reach every NIC by way of another CPU, have fewer NICs at their CPU than there are for
// them, or none below their PCIe switch where others have.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

/// A NIC slower than a quarter of the fastest manages the machine, and does not feed its GPUs.
constexpr double kSlowest = 0.25;

/// Where a quarter of the GPUs at most has no NIC below its PCIe switch, one is missing.
constexpr std::size_t kFewest = 4;

/// A CPU package, or a NUMA node where packages are not known: NUMA nodes of one package share its
/// I/O.
struct Place {
  std::vector<NodeId> cpus;  ///< those with devices
  std::vector<NodeId> gpus;
  std::vector<NodeId> cards;  ///< the first port of each
  std::size_t usable = 0;     ///< cards of which not all ports are known to be down
  bool servesEach() const { return !gpus.empty() && usable >= gpus.size(); }
};

/// The PCIe switch below the CPU that a device hangs below, or kNone.
NodeId topSwitchOf(const Graph& graph, NodeId id) {
  NodeId top = kNone;
  for (NodeId at = graph.node(id).parent; at != kNone && graph.node(at).kind == NodeKind::pciSwitch;
       at = graph.node(at).parent)
    top = at;
  return top;
}

class Host {
 public:
  Host(const Graph& graph, int host) : graph_(graph) {
    for (const NodeId id : graph.ofKind(NodeKind::gpu))
      if (graph.node(id).host == host && graph.node(id).cpu != kNone)
        placeOf(id).gpus.push_back(id);
    for (const NodeId id : cards(host)) {
      placeOf(id).cards.push_back(id);
      placeOf(id).usable += upCards_.contains(cardOf(id)) ? 1 : 0;
      switchesWithCards_.insert(topSwitchOf(graph, id));
    }
    switchesWithCards_.erase(kNone);
    for (const auto& [key, place] : places_) {
      gpus_ += place.gpus.size();
      cards_ += place.cards.size();
      usable_ += place.usable;
      placesWithGpus_ += place.gpus.empty() ? 0 : 1;
      alone_ += alone(place).size();
    }
  }

  void judge(std::vector<Problem>& problems) const {
    if (cards_ == 0) return;
    for (const auto& [key, place] : places_) {
      if (place.gpus.empty()) continue;
      if (place.cards.empty())
        problems.push_back(far(place));
      else if (usable_ >= gpus_ && place.usable > 0 && !place.servesEach())
        problems.push_back(few(place));
      else if (!alone(place).empty() && alone_ * kFewest <= gpus_)
        problems.push_back(above(alone(place)));
    }
  }

 private:
  using Key = std::pair<bool, int>;  // whether it is a package, and its number

  const Cpu& cpuOf(NodeId id) const {
    return graph_.inventory().cpus[static_cast<std::size_t>(graph_.node(graph_.node(id).cpu).row)];
  }

  Place& placeOf(NodeId id) {
    const int package = cpuOf(id).package;
    Place& place = places_[package >= 0 ? Key(true, package) : Key(false, graph_.node(id).cpu)];
    const NodeId cpu = graph_.node(id).cpu;
    if (std::find(place.cpus.begin(), place.cpus.end(), cpu) == place.cpus.end())
      place.cpus.push_back(cpu);
    return place;
  }

  Bandwidth speedOf(NodeId id) const {
    const Node& node = graph_.node(id);
    return node.bare ? Bandwidth{}
                     : graph_.inventory().nics[static_cast<std::size_t>(node.row)].speed;
  }

  BusId cardOf(NodeId id) const {
    BusId card = graph_.node(id).bus;
    card.function = 0;
    return card;
  }

  bool isDown(NodeId id) const {
    const Node& node = graph_.node(id);
    return !node.bare && graph_.inventory().nics[static_cast<std::size_t>(node.row)].up == false;
  }

  /// What sits on PCI: a NIC that a hypervisor makes up is nowhere.
  std::vector<NodeId> cards(int host) {
    std::vector<NodeId> ports;
    Bandwidth fastest;
    for (const NodeId id : graph_.ofKind(NodeKind::nic)) {
      const Node& node = graph_.node(id);
      if (node.host != host || node.cpu == kNone || node.pci == kNone) continue;
      ports.push_back(id);
      fastest = std::max(fastest, speedOf(id));
      if (!isDown(id)) upCards_.insert(cardOf(id));
    }
    std::vector<NodeId> cards;
    std::set<BusId> seen;
    for (const NodeId id : ports) {
      const bool slow = speedOf(id).known() && speedOf(id) < fastest * kSlowest;
      if (!slow && seen.insert(cardOf(id)).second) cards.push_back(id);
    }
    return cards;
  }

  std::vector<NodeId> alone(const Place& place) const {
    std::vector<NodeId> gpus;
    for (const NodeId id : place.gpus)
      if (!switchesWithCards_.contains(topSwitchOf(graph_, id))) gpus.push_back(id);
    return gpus;
  }

  Problem far(const Place& place) const {
    std::vector<NodeId> all, at;
    for (const auto& [key, other] : places_) {
      all.insert(all.end(), other.cards.begin(), other.cards.end());
      if (!other.cards.empty()) at.insert(at.end(), other.cpus.begin(), other.cpus.end());
    }
    // With fewer cards than places it is how the machine was built.
    const bool meant = cards_ < placesWithGpus_;
    return {meant ? Severity::note : Severity::warning,
            {},
            list(graph_, place.gpus),
            fmt::format("{} on {}, where no NIC is: the nearest {} {} on {}, across the link "
                        "between CPUs",
                        agree(place.gpus.size(), "is", "are"), list(graph_, place.cpus),
                        agree(all.size(), "is", "are"), list(graph_, all), list(graph_, at)),
            meant ? "nothing to mend, unless a NIC can be added there"
                  : "move a NIC to a slot of that CPU; if one is there, the firmware or hypervisor "
                    "tells its NUMA node wrongly (/sys/bus/pci/devices/*/numa_node)"};
  }

  Problem few(const Place& place) const {
    // Where none has enough it is how the machine was built.
    const bool others = std::any_of(places_.begin(), places_.end(),
                                    [](const auto& other) { return other.second.servesEach(); });
    return {others ? Severity::warning : Severity::note,
            {},
            list(graph_, place.gpus),
            fmt::format("share {} on {}, while the machine has {} for its {} GPUs",
                        counted(static_cast<std::int64_t>(place.usable), "NIC"),
                        list(graph_, place.cpus), usable_, gpus_),
            others ? "move a NIC to a slot of that CPU, or put back the one that is missing there "
                     "(`lspci -nn | grep -e 0200 -e 0207`)"
                   : "nothing to mend, unless a NIC can be moved to a slot of that CPU"};
  }

  Problem above(const std::vector<NodeId>& gpus) const {
    return {Severity::warning,
            {},
            list(graph_, gpus),
            fmt::format("{} no NIC below the same PCIe switch, where {} have",
                        agree(gpus.size(), "has", "have"),
                        counted(static_cast<std::int64_t>(gpus_ - alone_), "peer")),
            "look whether one is missing, or in a slot of another switch (`lspci -tv`)"};
  }

  const Graph& graph_;
  std::map<Key, Place> places_;
  std::set<NodeId> switchesWithCards_;
  std::set<BusId> upCards_;  ///< with a port that is not known to be down
  std::size_t gpus_ = 0;
  std::size_t cards_ = 0;
  std::size_t usable_ = 0;  ///< of those
  std::size_t placesWithGpus_ = 0;
  std::size_t alone_ = 0;  ///< GPUs without a NIC below their PCIe switch
};

void look(const Graph& graph, std::vector<Problem>& problems) {
  for (int host = 0; host < graph.hosts(); ++host) Host(graph, host).judge(problems);
}

}  // namespace

extern const Rule kRulesNicFar{"nic-far", "GPUs whose NICs are at another CPU", look};

}  // namespace lockstep::topology
