#include "topology/inventory/merge.hpp"

#include <map>
#include <set>
#include <string_view>

#include "topology/inventory/merge_rows.hpp"

namespace lockstep::topology {
namespace {

/// Names of machines, each once.
struct Hosts {
  explicit Hosts(const Inventory& inventory) {
    for (const Cpu& cpu : inventory.cpus)
      if (known.insert(cpu.host).second) inOrder.push_back(cpu.host);
  }
  bool has(std::string_view host) const { return known.contains(host); }

  std::set<std::string, std::less<>> known;
  std::vector<std::string> inOrder;  // of their first CPU
};

/// Which of the first's machines the second's are: those of the same name. And where one source
/// has a machine without a name, as this machine or a hint file, and the other has none, it is the
/// first one there that would else stay alone.
class SameHosts {
 public:
  SameHosts(const Hosts& mine, const Hosts& theirs) {
    if (mine.has("") == theirs.has("")) return;
    const Hosts& named = mine.has("") ? theirs : mine;
    const Hosts& other = mine.has("") ? mine : theirs;
    for (const std::string& host : named.inOrder)
      if (!other.has(host)) {
        name_ = host;
        break;
      }
    firstIsNamed_ = !mine.has("");
  }

  /// The second's machine as the first calls it.
  std::string_view asFirst(std::string_view theirs) const {
    if (name_.empty()) return theirs;
    if (firstIsNamed_) return theirs.empty() ? std::string_view(name_) : theirs;
    return theirs == name_ ? std::string_view() : theirs;
  }
  /// The machine that the first has no name for, as the second calls it; empty where neither does.
  const std::string& nameForNameless() const {
    static const std::string none;
    return firstIsNamed_ ? none : name_;
  }

 private:
  std::string name_;  // of the machine that only one of them names; empty where there is none
  bool firstIsNamed_ = false;
};

/// The first's rows, by what they are recognised by.
class FirstRows {
 public:
  explicit FirstRows(const Inventory& first) {
    for (std::size_t row = 0; row < first.cpus.size(); ++row) {
      const Cpu& cpu = first.cpus[row];
      const int host = hosts_.try_emplace(cpu.host, static_cast<int>(hosts_.size())).first->second;
      hostOfCpu_.push_back(host);
      cpus_.try_emplace({host, cpu.numa}, static_cast<int>(row));
    }
    for (std::size_t row = 0; row < first.pci.size(); ++row) {
      const PciDevice& device = first.pci[row];
      pci_.try_emplace({hostOfCpu(device.cpu), device.id}, static_cast<int>(row));
      pci_.try_emplace({kAnyHost, device.id}, static_cast<int>(row));
    }
    for (std::size_t row = 0; row < first.gpus.size(); ++row)
      gpus_.try_emplace(first.gpus[row].pci, static_cast<int>(row));
    for (std::size_t row = 0; row < first.nics.size(); ++row) {
      const Nic& nic = first.nics[row];
      const int cpu = nic.pci == kNone ? nic.cpu : first.pci[static_cast<std::size_t>(nic.pci)].cpu;
      nics_[{hostOfCpu(cpu), nic.name}].push_back(static_cast<int>(row));
      nics_[{kAnyHost, nic.name}].push_back(static_cast<int>(row));
    }
  }

  /// For the calls below. kNoHost where the first has no such machine.
  int host(std::string_view name) const {
    const auto found = hosts_.find(name);
    return found == hosts_.end() ? kNoHost : found->second;
  }

  int cpu(int host, int numa) const { return rowIn(cpus_, {host, numa}); }
  /// Devices without a CPU may be of any machine.
  int pci(int host, const BusId& id) const {
    const int row = rowIn(pci_, {host, id});
    return row == kNone ? rowIn(pci_, {kUnplaced, id}) : row;
  }
  int gpu(int pci) const { return rowIn(gpus_, pci); }

  /// The first for which `same` holds, of those of this name.
  template <class Same>
  int nic(int host, const std::string& name, Same same) const {
    for (const int where : {host, kUnplaced}) {
      const auto found = nics_.find({where, name});
      if (found == nics_.end()) continue;
      for (std::size_t i = 0; i < found->second.size() && i < kMostOfOneName; ++i)
        if (same(found->second[i])) return found->second[i];
    }
    return kNone;
  }

  static constexpr int kNoHost = -3;
  static constexpr int kAnyHost = -2;

 private:
  static constexpr int kUnplaced = -1;
  /// NICs of one name on one machine: its ports. More are malice, and would be compared each with
  /// each.
  static constexpr std::size_t kMostOfOneName = 64;

  int hostOfCpu(int row) const {
    return row == kNone ? kUnplaced : hostOfCpu_[static_cast<std::size_t>(row)];
  }

  template <class Key>
  static int rowIn(const std::map<Key, int>& rows, const Key& key) {
    const auto found = rows.find(key);
    return found == rows.end() ? kNone : found->second;
  }

  std::map<std::string, int, std::less<>> hosts_;  // numbers, so that long names cost nothing
  std::vector<int> hostOfCpu_;
  std::map<std::pair<int, int>, int> cpus_;
  std::map<std::pair<int, BusId>, int> pci_;
  std::map<int, int> gpus_;
  std::map<std::pair<int, std::string>, std::vector<int>> nics_;
};

class Merger {
 public:
  Merger(const Inventory& first, const Inventory& second)
      : result_(first), second_(second), rows_(first), same_(Hosts(first), Hosts(second)) {
    for (const Cpu& cpu : second.cpus) hostOfCpu_.push_back(rows_.host(same_.asFirst(cpu.host)));
  }

  Inventory merged() {
    fill(result_.source, second_.source);
    fill(result_.version, second_.version, Inventory{}.version);
    nameNamelessHost();
    for (std::size_t row = 0; row < second_.cpus.size(); ++row) addCpu(row);
    for (const PciDevice& device : second_.pci) add(device);
    for (const Gpu& gpu : second_.gpus) add(gpu);
    mapPeers();
    for (const Nic& nic : second_.nics) add(nic);
    fill(result_.driver.version, second_.driver.version);
    fill(result_.driver.confidential, second_.driver.confidential);
    fill(result_.driver.lost, second_.driver.lost);
    breakCycles();
    orderParentsFirst();
    agreeOnCpus();
    return std::move(result_);
  }

 private:
  static int mapped(const std::vector<int>& map, int row) {
    return row == kNone ? kNone : map[static_cast<std::size_t>(row)];
  }

  /// Completes the row at `found`, or adds one. Its row.
  template <class Row>
  static int complete(std::vector<Row>& rows, int found, const Row& theirs,
                      void (*fillIt)(Row&, const Row&)) {
    if (found == kNone) {
      rows.push_back(theirs);
      return static_cast<int>(rows.size()) - 1;
    }
    fillIt(rows[static_cast<std::size_t>(found)], theirs);
    return found;
  }

  void nameNamelessHost() {
    const std::string& name = same_.nameForNameless();
    if (name.empty()) return;
    for (Cpu& cpu : result_.cpus)
      if (cpu.host.empty()) cpu.host = name;
  }

  /// Of a row of the second, as the first's rows know it.
  int hostOfTheirs(int cpu) const {
    return cpu == kNone ? FirstRows::kAnyHost : hostOfCpu_[static_cast<std::size_t>(cpu)];
  }

  void addCpu(std::size_t row) {
    Cpu theirs = second_.cpus[row];
    theirs.host = same_.asFirst(theirs.host);
    if (theirs.host.empty()) theirs.host = same_.nameForNameless();
    const int found = rows_.cpu(hostOfCpu_[row], theirs.numa);
    cpus_.push_back(complete(result_.cpus, found, theirs, fillCpu));
  }

  /// Where the first knows no place for a device, it is where the second has it.
  void add(const PciDevice& theirs) {
    const int found = rows_.pci(hostOfTheirs(theirs.cpu), theirs.id);
    const int row = complete(result_.pci, found, theirs, fillPci);
    pci_.push_back(row);
    placedBySecond_.resize(result_.pci.size(), false);
    PciDevice& mine = result_.pci[static_cast<std::size_t>(row)];
    if (found == kNone) mine.cpu = mine.parent = kNone;
    const bool hasNoPlace = mine.cpu == kNone && mine.parent == kNone;
    if (hasNoPlace) mine.parent = mapped(pci_, theirs.parent);
    if (hasNoPlace) placedBySecond_[static_cast<std::size_t>(row)] = true;
    fill(mine.cpu, mapped(cpus_, theirs.cpu), kNone);
  }

  void add(const Gpu& theirs) {
    Gpu gpu = theirs;
    gpu.pci = mapped(pci_, theirs.pci);
    gpu.peers.clear();
    gpus_.push_back(complete(result_.gpus, rows_.gpu(gpu.pci), gpu, fillGpu));
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
    const int cpu =
        theirs.pci == kNone ? theirs.cpu : second_.pci[static_cast<std::size_t>(theirs.pci)].cpu;
    const int found = rows_.nic(hostOfTheirs(cpu), nic.name, [&](int row) {
      const Nic& mine = result_.nics[static_cast<std::size_t>(row)];
      const bool samePlace = mine.pci == nic.pci || mine.pci == kNone || nic.pci == kNone;
      return samePlace && (mine.port == nic.port || mine.port == 0 || nic.port == 0);
    });
    complete(result_.nics, found, nic, fillNic);
  }

  /// Where two sources make devices each other's parents, the second is not believed. Each source
  /// alone has no cycles, so each cycle has a step of the second's.
  void breakCycles() {
    std::vector<PciDevice>& devices = result_.pci;
    placedBySecond_.resize(devices.size(), false);
    std::vector<std::size_t> walkBy(devices.size(), 0);  // the walk that came by, from 1
    for (std::size_t start = 0; start < devices.size(); ++start) {
      int at = static_cast<int>(start);
      while (at != kNone && walkBy[static_cast<std::size_t>(at)] == 0) {
        walkBy[static_cast<std::size_t>(at)] = start + 1;
        at = devices[static_cast<std::size_t>(at)].parent;
      }
      if (at == kNone || walkBy[static_cast<std::size_t>(at)] != start + 1) continue;
      while (!placedBySecond_[static_cast<std::size_t>(at)])
        at = devices[static_cast<std::size_t>(at)].parent;
      devices[static_cast<std::size_t>(at)].parent = kNone;
    }
  }

  /// A source may have told a switch after a device that another told before.
  void orderParentsFirst() {
    std::vector<PciDevice>& devices = result_.pci;
    std::vector<int> place(devices.size(), kNone);  // new row of each old one
    std::vector<PciDevice> ordered;
    ordered.reserve(devices.size());
    for (std::size_t start = 0; start < devices.size(); ++start) {
      std::vector<std::size_t> chain;  // up to the first that has its place
      for (int at = static_cast<int>(start);
           at != kNone && place[static_cast<std::size_t>(at)] == kNone;
           at = devices[static_cast<std::size_t>(at)].parent)
        chain.push_back(static_cast<std::size_t>(at));
      for (auto row = chain.rbegin(); row != chain.rend(); ++row) {
        place[*row] = static_cast<int>(ordered.size());
        ordered.push_back(std::move(devices[*row]));
        ordered.back().parent = mapped(place, ordered.back().parent);
      }
    }
    devices = std::move(ordered);
    for (Gpu& gpu : result_.gpus) gpu.pci = mapped(place, gpu.pci);
    for (Nic& nic : result_.nics) nic.pci = mapped(place, nic.pci);
  }

  /// A device is of its switch's CPU, and a NIC of its device's, whoever told of the one and the
  /// other.
  void agreeOnCpus() {
    for (PciDevice& device : result_.pci)
      if (device.parent != kNone) adopt(device.cpu, device.parent);
    for (Nic& nic : result_.nics)
      if (nic.pci != kNone) adopt(nic.cpu, nic.pci);
  }

  void adopt(int& cpu, int pci) const {
    const int known = result_.pci[static_cast<std::size_t>(pci)].cpu;
    if (known != kNone) cpu = known;
  }

  Inventory result_;
  const Inventory& second_;
  FirstRows rows_;
  SameHosts same_;
  std::vector<int> hostOfCpu_;          // of the second's rows
  std::vector<int> cpus_, pci_, gpus_;  // rows of the second's rows
  std::vector<bool> placedBySecond_;    // of the result's PCI devices
};

}  // namespace

Inventory merge(const Inventory& first, const Inventory& second) {
  return Merger(first, second).merged();
}

}  // namespace lockstep::topology
