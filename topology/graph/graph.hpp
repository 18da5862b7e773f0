// What is connected to what: nodes and links, built from an inventory by pure code.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "topology/inventory/inventory.hpp"
#include "topology/inventory/units.hpp"

namespace lockstep::topology {

/// A position in Graph::nodes.
using NodeId = int;

enum class NodeKind : std::uint8_t { cpu, pciSwitch, gpu, nvSwitch, nic, network };
/// "CPU", "PCIe switch", "GPU", "NVSwitch", "NIC", "network"
std::string_view name(NodeKind kind);

enum class LinkKind : std::uint8_t { pcie, nvlink, xgmi, chipToChip, interCpu, network };
/// "PCIe", "NVLink", "xGMI", "C2C", "inter-CPU", "network"
std::string_view name(LinkKind kind);

struct Node {
  NodeKind kind = NodeKind::cpu;
  /// "NUMA 0", "GPU3", "mlx5_0", "NVSwitch2", ...; with "host/" before it where there
  /// are several. To be shown: printable, and not long, whatever the source says. Each is one
  /// node's.
  std::string name;
  /// Row in the inventory: of cpus, of pci (switches, and devices that their source only knows as
  /// PCI devices: bare), of gpus, of nics; kNone for NVSwitches and the network.
  int row = kNone;
  int pci = kNone;     ///< row of its PCI device, where it has one
  NodeId cpu = kNone;  ///< the NUMA node it hangs below; itself for a CPU; kNone for NVSwitches and
                       ///< the network
  NodeId parent = kNone;  ///< the PCIe switch or CPU above it
  bool bare = false;      ///< a GPU or NIC known only as a PCI device, as in hint files
  BusId bus{};            ///< of GPUs, switches, and NICs with a PCI device
  int host = 0;           ///< which machine, from 0; kNone for the network and invisible switches
};

/// One direction. Most links have a twin in the other; where two ends tell different counts they
/// differ.
struct Link {
  NodeId from = kNone;
  NodeId to = kNone;
  LinkKind kind = LinkKind::pcie;
  int count = 1;        ///< of NVLinks, xGMI links; PCIe: lanes, 0 where not known
  Bandwidth bandwidth;  ///< of all `count` together
};

class Graph {
 public:
  /// What an inventory cannot be taken for (a link to a GPU that is not there) is left out and said
  /// in remarks().
  explicit Graph(Inventory inventory);

  const Inventory& inventory() const { return inventory_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& node(NodeId id) const { return nodes_[static_cast<std::size_t>(id)]; }
  const std::vector<Link>& links() const { return links_; }
  /// Positions in links() of those that leave this node.
  const std::vector<int>& linksFrom(NodeId id) const { return out_[static_cast<std::size_t>(id)]; }
  /// The same, by where they lead to, and then by kind.
  const std::vector<int>& linksByTarget(NodeId id) const {
    return byTarget_[static_cast<std::size_t>(id)];
  }
  /// The link, or null. Takes the logarithm of how many links leave `from`.
  const Link* link(NodeId from, NodeId to, LinkKind kind) const;
  /// Of one kind, in the order of the inventory; GPUs and NICs by the numbers that their source
  /// gives them, those known only as PCI devices after them.
  const std::vector<NodeId>& ofKind(NodeKind kind) const {
    return kinds_[static_cast<std::size_t>(kind)];
  }
  const std::vector<std::string>& remarks() const { return remarks_; }
  int hosts() const { return hosts_; }

 private:
  friend class GraphBuilder;
  Inventory inventory_;
  std::vector<Node> nodes_;
  std::vector<Link> links_;
  std::vector<std::vector<int>> out_;       // by node
  std::vector<std::vector<int>> byTarget_;  // the same, sorted
  std::vector<std::vector<NodeId>> kinds_;
  std::vector<std::string> remarks_;
  int hosts_ = 1;
};

}  // namespace lockstep::topology
