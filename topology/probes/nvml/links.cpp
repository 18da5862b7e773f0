#include <algorithm>

#include "topology/probes/nvml/classify.hpp"

namespace lockstep::topology::nvml {
namespace {

/// Drivers answer notSupported or invalidArgument for the numbers of links that a GPU has not.
bool exists(const LinkRecord& link) {
  return link.state.known();
}

/// NCCL leaves those out that the driver keeps from peers; a driver that does not say so allows it.
bool active(const LinkRecord& link) {
  return link.state.value == 1 && !(link.p2p.known() && link.p2p.value == 0);
}

bool to(const LinkRecord& link, RemoteType type) {
  return link.remoteType.known() && link.remoteType.value == type;
}

/// A machine may hide its switches: in virtual machines their address is empty, zero or garbage.
std::optional<BusId> target(const LinkRecord& link) {
  const std::optional<BusId> id = parseBusId(link.remote.value);
  if (id && *id != BusId{}) return id;
  if (to(link, RemoteType::nvSwitch)) return kInvisibleSwitch;
  return std::nullopt;
}

/// 0 where the driver does not say.
std::uint32_t targetClass(const LinkRecord& link, const BusId& id, const std::vector<BusId>& gpus) {
  if (to(link, RemoteType::nvSwitch)) return pci_class::kNvSwitch;
  if (to(link, RemoteType::gpu)) return pci_class::k3d;
  if (to(link, RemoteType::ibmNpu)) return pci_class::kCpu;
  const bool isGpu = std::find(gpus.begin(), gpus.end(), id) != gpus.end();
  return isGpu ? pci_class::k3d : 0;
}

void addLink(std::vector<GpuLinks>& links, const BusId& target, std::uint32_t targetClass) {
  const auto same = std::find_if(links.begin(), links.end(), [&](const GpuLinks& known) {
    return known.target == target && known.targetClass == targetClass;
  });
  if (same != links.end()) {
    ++same->count;
    return;
  }
  GpuLinks first;
  first.target = target;
  first.targetClass = targetClass;
  first.count = 1;
  links.push_back(first);
}

}  // namespace

void classifyLinks(const std::vector<LinkRecord>& links, const std::vector<BusId>& gpus, Gpu& row,
                   std::vector<int>& nowhere) {
  for (std::size_t i = 0; i < links.size(); ++i) {
    const LinkRecord& link = links[i];
    if (!exists(link)) continue;
    if (link.state.value == 0) row.deadLinks.push_back(static_cast<int>(i));
    if (!active(link)) continue;
    if (const std::optional<BusId> id = target(link))
      addLink(row.links, *id, targetClass(link, *id, gpus));
    else
      nowhere.push_back(static_cast<int>(i));
  }
}

}  // namespace lockstep::topology::nvml
