// Puts a machine together, part by part.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "topology/presets/parts/models.hpp"

namespace lockstep::topology {

/// Where a PCI device can be plugged in: a CPU's root ports, or the ports below a switch.
struct Slots {
  int cpu = kNone;     ///< row
  int parent = kNone;  ///< row of the switch; kNone: root ports
};

class MachineBuilder {
 public:
  explicit MachineBuilder(std::string_view preset);

  /// Adds `sockets` CPUs with `numaNodes` each, one row per NUMA node, numbered as Linux numbers
  /// threads: all cores first, then their second threads. Their rows follow each other.
  void addCpus(const CpuModel& model, int sockets, int numaNodes = 1, const std::string& host = {});
  /// The root ports of a NUMA node.
  Slots rootPorts(int numa, std::string_view host = {}) const;

  Slots addSwitch(Slots where, const BusId& id, const PcieLink& link);
  /// Its row of gpus.
  int addGpu(Slots where, const BusId& id, const GpuModel& model);
  /// A card, one PCI function and one row of nics for each port.
  void addNic(Slots where, const BusId& id, const NicModel& model, int ports = 1);
  void addNvlinks(int gpu, const BusId& target, int count, std::uint32_t targetClass);
  void addChipToChip(int gpu, int count, Bandwidth each);

  Inventory take() { return std::move(inventory_); }

 private:
  int addPci(Slots where, const BusId& id, std::uint32_t classCode, const PcieLink& link);
  int gpusOf(const std::string& host) const;
  int nicsOf(const std::string& host) const;

  Inventory inventory_;
};

}  // namespace lockstep::topology
