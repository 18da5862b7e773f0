#include "topology/inventory/merge.hpp"

#include <algorithm>

namespace lockstep::topology {
namespace {

/// Keeps `mine` where it is something else than `unknown`.
template <class Value>
void fill(Value& mine, const Value& theirs, const Value& unknown = Value{}) {
  if (mine == unknown) mine = theirs;
}

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

void fillCpu(Cpu& mine, const Cpu& theirs) {
  fill(mine.host, theirs.host);
  fillRow(mine.package, theirs.package);
  fill(mine.affinity, theirs.affinity);
  fill(mine.arch, theirs.arch);
  fill(mine.vendor, theirs.vendor);
  fill(mine.model, theirs.model);
  fillRow(mine.familyId, theirs.familyId);
  fillRow(mine.modelId, theirs.modelId);
  fillAttributes(mine.other, theirs.other);
}

void fillLink(PcieLink& mine, const PcieLink& theirs) {
  if (!mine.speed.known() && mine.width == 0) mine = theirs;
}

/// All but its place.
void fillPci(PciDevice& mine, const PciDevice& theirs) {
  fill(mine.classCode, theirs.classCode);
  fill(mine.vendor, theirs.vendor);
  fill(mine.device, theirs.device);
  fill(mine.subsystemVendor, theirs.subsystemVendor);
  fill(mine.subsystemDevice, theirs.subsystemDevice);
  fillLink(mine.link, theirs.link);
  fillLink(mine.capable, theirs.capable);
  fill(mine.name, theirs.name);
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
  fill(mine.peers, theirs.peers);
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

bool sameHost(const std::string& a, const std::string& b) {
  return a.empty() || b.empty() || a == b;
}

template <class Row, class Same>
int find(const std::vector<Row>& rows, Same same) {
  const auto found = std::find_if(rows.begin(), rows.end(), same);
  return found == rows.end() ? kNone : static_cast<int>(found - rows.begin());
}

/// Completes the row at `found`, or adds one. Its row.
template <class Row>
int complete(std::vector<Row>& rows, int found, const Row& theirs,
             void (*fillIt)(Row&, const Row&)) {
  if (found == kNone) {
    rows.push_back(theirs);
    return static_cast<int>(rows.size()) - 1;
  }
  fillIt(rows[static_cast<std::size_t>(found)], theirs);
  return found;
}

class Merger {
 public:
  Merger(const Inventory& first, const Inventory& second) : result_(first), second_(second) {}

  Inventory merged() {
    fill(result_.source, second_.source);
    for (const Cpu& cpu : second_.cpus) add(cpu);
    for (const PciDevice& device : second_.pci) add(device);
    for (const Gpu& gpu : second_.gpus) add(gpu);
    mapPeers();
    for (const Nic& nic : second_.nics) add(nic);
    fill(result_.driver.version, second_.driver.version);
    fill(result_.driver.confidential, second_.driver.confidential);
    orderParentsFirst();
    return std::move(result_);
  }

 private:
  static int mapped(const std::vector<int>& map, int row) {
    return row == kNone ? kNone : map[static_cast<std::size_t>(row)];
  }

  void add(const Cpu& theirs) {
    const int found = find(result_.cpus, [&](const Cpu& mine) {
      return mine.numa == theirs.numa && sameHost(mine.host, theirs.host);
    });
    cpus_.push_back(complete(result_.cpus, found, theirs, fillCpu));
  }

  void add(const PciDevice& theirs) {
    const std::string& host = hostOf(second_, theirs);
    const int found = find(result_.pci, [&](const PciDevice& mine) {
      return mine.id == theirs.id && sameHost(hostOf(result_, mine), host);
    });
    const int row = complete(result_.pci, found, theirs, fillPci);
    pci_.push_back(row);
    PciDevice& mine = result_.pci[static_cast<std::size_t>(row)];
    if (found == kNone) mine.cpu = mine.parent = kNone;
    if (mine.cpu != kNone || theirs.cpu == kNone) return;
    mine.cpu = mapped(cpus_, theirs.cpu);
    mine.parent = mapped(pci_, theirs.parent);
  }

  void add(const Gpu& theirs) {
    Gpu gpu = theirs;
    gpu.pci = mapped(pci_, theirs.pci);
    const int found = find(result_.gpus, [&](const Gpu& mine) { return mine.pci == gpu.pci; });
    gpu.peers.clear();
    gpus_.push_back(complete(result_.gpus, found, gpu, fillGpu));
  }

  /// When all GPUs have their rows.
  void mapPeers() {
    for (std::size_t i = 0; i < second_.gpus.size(); ++i) {
      std::vector<PeerAccess> peers = second_.gpus[i].peers;
      for (PeerAccess& peer : peers) peer.gpu = mapped(gpus_, peer.gpu);
      fill(result_.gpus[static_cast<std::size_t>(gpus_[i])].peers, peers);
    }
  }

  void add(const Nic& theirs) {
    Nic nic = theirs;
    nic.pci = mapped(pci_, theirs.pci);
    nic.cpu = mapped(cpus_, theirs.cpu);
    const int found = find(result_.nics, [&](const Nic& mine) {
      const bool samePlace = mine.pci == nic.pci || mine.pci == kNone || nic.pci == kNone;
      return samePlace && mine.name == nic.name &&
             (mine.port == nic.port || mine.port == 0 || nic.port == 0);
    });
    complete(result_.nics, found, nic, fillNic);
  }

  /// A source may have told a switch after a device that another told before. Where two sources
  /// make devices each other's parents, the second is not believed.
  void orderParentsFirst() {
    std::vector<PciDevice>& devices = result_.pci;
    std::vector<int> place(devices.size(), kNone);  // new row of each old one
    std::vector<PciDevice> ordered;
    ordered.reserve(devices.size());
    for (std::size_t start = 0; start < devices.size(); ++start) {
      std::vector<std::size_t> chain;  // up to the first that has its place
      for (int at = static_cast<int>(start);
           at != kNone && place[static_cast<std::size_t>(at)] == kNone;
           at = devices[static_cast<std::size_t>(at)].parent) {
        const auto row = static_cast<std::size_t>(at);
        if (std::find(chain.begin(), chain.end(), row) != chain.end()) {
          devices[chain.back()].parent = kNone;
          break;
        }
        chain.push_back(row);
      }
      for (auto row = chain.rbegin(); row != chain.rend(); ++row) {
        place[*row] = static_cast<int>(ordered.size());
        ordered.push_back(devices[*row]);
        ordered.back().parent = mapped(place, ordered.back().parent);
      }
    }
    devices = std::move(ordered);
    for (Gpu& gpu : result_.gpus) gpu.pci = mapped(place, gpu.pci);
    for (Nic& nic : result_.nics) nic.pci = mapped(place, nic.pci);
  }

  Inventory result_;
  const Inventory& second_;
  std::vector<int> cpus_, pci_, gpus_;  // rows of the second's rows
};

}  // namespace

Inventory merge(const Inventory& first, const Inventory& second) {
  return Merger(first, second).merged();
}

}  // namespace lockstep::topology
