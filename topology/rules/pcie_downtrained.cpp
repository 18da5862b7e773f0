// PCIe links that run below what they could, or below those of the same model.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "topology/graph/bandwidths.hpp"
#include "topology/inventory/pcie.hpp"
#include "topology/rules/evidence/alike.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

constexpr const char* kMeasureUnderLoad =
    "idle GPUs slow their link down to save power: look again while one copies (`nvidia-smi -q -d "
    "PERFORMANCE`, LnkSta of `lspci -vv`); if it stays, reseat the card";
constexpr const char* kMeantForAll =
    "as many on all GPUs of the model: nothing to mend on boards that give each slot so many; or "
    "else look at the slots' bifurcation in the firmware (LnkSta and LnkCap of `lspci -vv`)";
constexpr const char* kReseat =
    "reseat the card or its riser, clean the contacts, look at the slot's bifurcation and speed in "
    "the firmware (LnkSta and LnkCap of `lspci -vv`)";
constexpr const char* kReseatOrIdle =
    "reseat the card, look at the slot's speed in the firmware; where only the speed differs, look "
    "again under load, since idle GPUs slow their link down";
constexpr const char* kEnough =
    "nothing to mend for its speed; lost lanes may be a slot with fewer, or a card that sits badly";
constexpr const char* kAllSwitches =
    "all of the model say so, and some switches show an internal port so: nothing to mend if "
    "copies are as fast as they should be";

/// A link and what it ought to be.
struct Loss {
  NodeKind kind = NodeKind::gpu;
  PcieLink now, could;
  Bandwidth needed;     ///< by the ports of a NIC together, where known
  bool idles = false;   ///< slowed to save power: a GPU, or a switch that has one below
  bool shared = false;  ///< a GPU that lacks lanes, as all of several of its model do
  friend bool operator==(const Loss&, const Loss&) = default;
  bool ofSpeed() const { return now.speed.known() && now.speed < could.speed; }
  bool ofWidth() const { return now.width > 0 && now.width < could.width; }
  /// As idle GPUs do; firmware that holds slots back stops at a later generation.
  bool isSlowed() const {
    const int generation = pcieGeneration(now.speed);
    return !ofWidth() && now.width > 0 && (generation == 1 || generation == 2);
  }
  bool any() const { return ofSpeed() || ofWidth(); }
  bool isEnough() const { return needed.known() && pcieBandwidth(now) >= needed; }
};

std::string words(const PcieLink& link) {
  std::vector<std::string> parts;
  if (link.speed.known()) parts.push_back(fmt::format("{:.1f} GT/s", link.speed.gigatransfers()));
  if (link.width > 0) parts.push_back(fmt::format("x{}", link.width));
  return fmt::format("{}", fmt::join(parts, " "));
}

/// "(Gen3 instead of Gen5, 8 lanes instead of 16): a quarter of the bandwidth"
std::string lost(const Loss& loss) {
  std::vector<std::string> parts;
  const int now = pcieGeneration(loss.now.speed);
  const int could = pcieGeneration(loss.could.speed);
  if (loss.ofSpeed() && now > 0 && could > 0)
    parts.push_back(fmt::format("Gen{} instead of Gen{}", now, could));
  if (loss.ofWidth())
    parts.push_back(
        fmt::format("{} instead of {}", counted(loss.now.width, "lane"), loss.could.width));
  std::string text = parts.empty() ? "" : fmt::format(" ({})", fmt::join(parts, ", "));
  const Bandwidth part = pcieBandwidth(loss.now);
  const Bandwidth whole = pcieBandwidth(loss.could);
  if (part.known() && whole.known() && part < whole)
    text +=
        fmt::format(": {} of the bandwidth", share(part.bytesPerSecond() / whole.bytesPerSecond()));
  return text;
}

class Links {
 public:
  explicit Links(const Graph& graph) : graph_(graph) {
    for (const NodeKind kind : {NodeKind::gpu, NodeKind::nic, NodeKind::pciSwitch})
      for (const NodeId id : graph.ofKind(kind))
        if (graph.node(id).pci != kNone) models_[modelOf(id)].push_back(id);
    addCardSpeeds();
    for (const NodeId gpu : graph.ofKind(NodeKind::gpu))
      for (NodeId at = gpu; at != kNone && idling_.insert(at).second;) at = graph.node(at).parent;
  }

  void judge(std::vector<Problem>& problems) const {
    Alike<Loss> belowCapability;
    Alike<std::pair<Loss, std::size_t>> belowPeers;  // and how many peers are better
    for (const auto& [model, nodes] : models_) {
      const auto [usual, having] = usualLink(nodes);
      const Common common = commonTo(nodes);
      for (const NodeId id : nodes) {
        if (isOnlyControlled(id)) continue;
        const Loss own = lossOf(id, pciOf(id).capable, common);
        const Loss other = lossOf(id, usual, common);
        if (own.any())
          belowCapability.add(own, id);
        else if (nodes.size() > 1 && known(model) &&
                 pcieBandwidth(other.now) < pcieBandwidth(usual) && other.any() &&
                 !other.isEnough())
          belowPeers.add({other, having}, id);
      }
    }
    for (const auto& [loss, nodes] : belowCapability) problems.push_back(below(loss, nodes));
    for (const auto& [found, nodes] : belowPeers)
      problems.push_back(belowOthers(found.first, found.second, nodes));
  }

 private:
  using Id = std::optional<std::uint16_t>;
  using Model = std::tuple<NodeKind, int, Id, Id, Id, std::uint32_t, int>;

  const PciDevice& pciOf(NodeId id) const {
    return graph_.inventory().pci[static_cast<std::size_t>(graph_.node(id).pci)];
  }

  Model modelOf(NodeId id) const {
    const Node& node = graph_.node(id);
    const PciDevice& device = pciOf(id);
    const int sm = node.kind == NodeKind::gpu && !node.bare ? gpuOf(graph_, id).sm : 0;
    return {node.kind,        node.host, device.vendor, device.device, device.subsystemDevice,
            device.classCode, sm};
  }

  /// What several of a model have in common.
  struct Common {
    bool width = false;
    bool link = false;  ///< and what it could be
  };

  Common commonTo(const std::vector<NodeId>& nodes) const {
    if (nodes.size() < 2) return {};
    const PciDevice& first = pciOf(nodes.front());
    Common common{.width = true, .link = true};
    for (const NodeId id : nodes) {
      const PciDevice& device = pciOf(id);
      common.width = common.width && device.link.width == first.link.width;
      common.link = common.link && device.link == first.link && device.capable == first.capable;
    }
    return common;
  }

  Loss lossOf(NodeId id, const PcieLink& could, const Common& common) const {
    const bool isGpu = graph_.node(id).kind == NodeKind::gpu;
    Loss loss{graph_.node(id).kind, pciOf(id).link, could, neededBy(id)};
    // What all switches of a model show is told of all of them.
    loss.idles = loss.isSlowed() && idling_.contains(id) && (isGpu || !common.link);
    loss.shared = isGpu && loss.ofWidth() && common.width;
    return loss;
  }

  /// Data of a GPU with a chip-to-chip link does not go by PCIe.
  bool isOnlyControlled(NodeId id) const {
    const Node& node = graph_.node(id);
    return node.kind == NodeKind::gpu && !node.bare && !gpuOf(graph_, id).chipToChip.empty();
  }

  /// GPUs of one machine are mostly of one kind, whoever made them; NICs and switches are not.
  static bool known(const Model& model) {
    return std::get<0>(model) == NodeKind::gpu || (std::get<2>(model) && std::get<3>(model));
  }

  /// The most common link, and how many have it. Of equally common ones the faster.
  std::pair<PcieLink, std::size_t> usualLink(const std::vector<NodeId>& nodes) const {
    std::map<std::pair<double, int>, std::size_t> uses;
    std::pair<PcieLink, std::size_t> usual{{}, 0};
    for (const NodeId id : nodes) {
      const PcieLink& link = pciOf(id).link;
      if (!pcieBandwidth(link).known()) continue;
      const std::size_t count = ++uses[{link.speed.gigatransfers(), link.width}];
      const bool faster = pcieBandwidth(link) > pcieBandwidth(usual.first);
      if (count > usual.second || (count == usual.second && faster)) usual = {link, count};
    }
    return usual;
  }

  bool allOfTheModel(const std::vector<NodeId>& nodes) const {
    std::set<Model> models;
    std::size_t count = 0;
    for (const NodeId id : nodes)
      if (models.insert(modelOf(id)).second) count += models_.at(modelOf(id)).size();
    return count == nodes.size();
  }

  /// Ports of one card share its link.
  Bandwidth neededBy(NodeId id) const {
    const Node& node = graph_.node(id);
    if (node.kind != NodeKind::nic) return {};
    BusId card = node.bus;
    card.function = 0;
    const auto speed = cardSpeeds_.find({node.host, card});
    return speed == cardSpeeds_.end() ? Bandwidth{} : speed->second;
  }

  void addCardSpeeds() {
    for (const NodeId id : graph_.ofKind(NodeKind::nic)) {
      const Node& node = graph_.node(id);
      if (node.bare || node.pci == kNone) continue;
      BusId card = node.bus;
      card.function = 0;
      cardSpeeds_[{node.host, card}] +=
          graph_.inventory().nics[static_cast<std::size_t>(node.row)].speed;
    }
  }

  struct Verdict {
    Severity severity;
    const char* advice;
  };

  Verdict verdict(const Loss& loss, const std::vector<NodeId>& nodes) const {
    const Severity bySeen = loss.ofWidth() ? Severity::error : Severity::warning;
    if (loss.idles) return {Severity::note, kMeasureUnderLoad};
    switch (loss.kind) {
      case NodeKind::gpu:
        if (loss.shared) return {Severity::warning, kMeantForAll};
        return {bySeen, loss.ofWidth() ? kReseat : kMeasureUnderLoad};
      case NodeKind::pciSwitch:
        if (nodes.size() > 1 && allOfTheModel(nodes)) return {Severity::note, kAllSwitches};
        return {bySeen, kReseat};
      default:
        // Boards wire few lanes to the NICs that manage them.
        if (loss.isEnough()) return {Severity::note, kEnough};
        return {loss.needed.known() ? bySeen : Severity::warning, kReseat};
    }
  }

  Problem below(const Loss& loss, const std::vector<NodeId>& nodes) const {
    const Verdict found = verdict(loss, nodes);
    std::string what = fmt::format("{} at {}, could {}{}", agree(nodes.size(), "runs", "run"),
                                   words(loss.now), words(loss.could), lost(loss));
    if (loss.isEnough())
      what += fmt::format("; enough for {:.0f} Gb/s", loss.needed.megabitsPerSecond() / 1000);
    return {found.severity, {}, list(graph_, nodes), std::move(what), found.advice};
  }

  Problem belowOthers(const Loss& loss, std::size_t having,
                      const std::vector<NodeId>& nodes) const {
    return {loss.idles ? Severity::note : Severity::warning,
            {},
            list(graph_, nodes),
            fmt::format("{} at {}, where {} of the model {} at {}{}",
                        agree(nodes.size(), "runs", "run"), words(loss.now), having,
                        agree(having, "runs", "run"), words(loss.could), lost(loss)),
            loss.idles                   ? kMeasureUnderLoad
            : loss.kind == NodeKind::gpu ? kReseatOrIdle
                                         : kReseat};
  }

  const Graph& graph_;
  std::map<Model, std::vector<NodeId>> models_;
  std::set<NodeId> idling_;                                ///< GPUs, and what is above them
  std::map<std::pair<int, BusId>, Bandwidth> cardSpeeds_;  ///< of all ports; by its function 0
};

void look(const Graph& graph, std::vector<Problem>& problems) {
  Links(graph).judge(problems);
}

}  // namespace

extern const Rule kRulesPcieDowntrained{
    "pcie-downtrained", "PCIe links below what they could, or below others of the model", look};

}  // namespace lockstep::topology
