// How a graph comes out of an inventory, step by step.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

class GraphBuilder {
 public:
  /// `graph` has its inventory and nothing else.
  explicit GraphBuilder(Graph& graph) : graph_(graph), inventory_(graph.inventory_) {}
  void build();

 private:
  // Nodes.
  void requireAtMost(std::size_t most, std::size_t count, const char* what) const;
  void requirePossible() const;
  void requireDrawable() const;
  void addCpus();
  void placeDevices();
  void addSwitches();
  void addGpus();
  void addNics();
  void addNvSwitches();
  void addNetwork();
  void giveUniqueNames();
  NodeId add(Node node);
  NodeId addPciNode(NodeKind kind, int pci, std::string name);
  int hostBelow(int cpu) const;
  int cpuOf(const Nic& nic) const;
  std::string withHost(int host, std::string name) const;

  // Links.
  void linkPcie();
  void linkPeerSwitches();
  bool isNeighbour(NodeId id, NodeId other) const;
  void linkCpus();
  void linkGpus();
  void linkToTarget(NodeId gpu, const GpuLinks& links);
  std::uint32_t targetClass(NodeId gpu, const GpuLinks& links) const;
  void linkNetwork();
  void sortLinks();
  void connect(NodeId from, NodeId to, LinkKind kind, int count, Bandwidth bandwidth);
  void connectBoth(NodeId a, NodeId b, LinkKind kind, int count, Bandwidth bandwidth);
  void append(NodeId from, NodeId to, LinkKind kind, int count, Bandwidth bandwidth);
  void remark(std::string text);

  Node& node(NodeId id) { return graph_.nodes_[static_cast<std::size_t>(id)]; }
  const PciDevice& pci(int row) const { return inventory_.pci[static_cast<std::size_t>(row)]; }

  Graph& graph_;
  const Inventory& inventory_;
  std::vector<int> hostOfCpu_;          // by row of cpus
  std::vector<int> cpuOfPci_;           // by row of pci: row of cpus, or kNone
  std::vector<NodeId> switchOfPci_;     // by row of pci
  std::vector<NodeId> gpuOfRow_;        // by row of gpus
  using Place = std::pair<int, BusId>;  // host and bus id
  std::map<Place, int> pciAt_;          // row of pci
  std::map<Place, NodeId> gpuAt_, nvSwitchAt_;
  std::map<std::tuple<NodeId, NodeId, LinkKind>, std::size_t> linkAt_;  // made by connect()
};

}  // namespace lockstep::topology
