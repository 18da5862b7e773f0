#include "topology/inventory/merge_rows.hpp"

#include <algorithm>

namespace lockstep::topology {
namespace {

void fillRow(int& mine, int theirs) {
  fill(mine, theirs, kNone);
}

void fillAttributes(Attributes& mine, const Attributes& theirs) {
  for (const auto& attribute : theirs) {
    const bool has = std::any_of(mine.begin(), mine.end(),
                                 [&](const auto& m) { return m.first == attribute.first; });
    if (!has) mine.push_back(attribute);
  }
}

/// Speed and width are of one moment: those of two sources would be of no link at all.
void fillLink(PcieLink& mine, const PcieLink& theirs) {
  if (!mine.speed.known() && mine.width == 0) mine = theirs;
}

/// Some sources know classes without their programming interface.
void fillClass(std::uint32_t& mine, std::uint32_t theirs) {
  if (mine == 0 || mine == pci_class::withoutInterface(theirs)) mine = theirs;
}

}  // namespace

void fillCpu(Cpu& mine, const Cpu& theirs) {
  fillRow(mine.package, theirs.package);
  fill(mine.affinity, theirs.affinity);
  fill(mine.arch, theirs.arch);
  fill(mine.vendor, theirs.vendor);
  fill(mine.model, theirs.model);
  fillRow(mine.familyId, theirs.familyId);
  fillRow(mine.modelId, theirs.modelId);
  fillAttributes(mine.other, theirs.other);
}

void fillPci(PciDevice& mine, const PciDevice& theirs) {
  fillClass(mine.classCode, theirs.classCode);
  fill(mine.vendor, theirs.vendor);
  fill(mine.device, theirs.device);
  fill(mine.subsystemVendor, theirs.subsystemVendor);
  fill(mine.subsystemDevice, theirs.subsystemDevice);
  fillLink(mine.link, theirs.link);
  fillLink(mine.capable, theirs.capable);
  fill(mine.name, theirs.name);
  fill(mine.peerSwitches, theirs.peerSwitches);
  fillAttributes(mine.other, theirs.other);
}

void fillGpu(Gpu& mine, const Gpu& theirs) {
  fillRow(mine.device, theirs.device);
  fill(mine.sm, theirs.sm);
  fillRow(mine.rank, theirs.rank);
  fill(mine.gpuDirect, theirs.gpuDirect);
  fill(mine.uuid, theirs.uuid);
  fill(mine.links, theirs.links);
  fill(mine.chipToChip, theirs.chipToChip);
  fill(mine.deadLinks, theirs.deadLinks);
  fill(mine.fabric, theirs.fabric);
  fillAttributes(mine.other, theirs.other);
}

void fillNic(Nic& mine, const Nic& theirs) {
  fillRow(mine.pci, theirs.pci);
  fillRow(mine.cpu, theirs.cpu);
  fill(mine.name, theirs.name);
  fillRow(mine.device, theirs.device);
  fill(mine.speed, theirs.speed);
  fill(mine.port, theirs.port);
  fill(mine.latency, theirs.latency);
  fill(mine.guid, theirs.guid);
  fill(mine.maxConnections, theirs.maxConnections);
  fill(mine.gpuDirect, theirs.gpuDirect);
  fill(mine.up, theirs.up);
  fillAttributes(mine.other, theirs.other);
}

}  // namespace lockstep::topology
