#include "topology/probes/hwloc/inventory.hpp"

#include <memory>

#include <hwloc.h>

#include "base/fail.hpp"
#include "topology/readers/hwloc/read.hpp"

namespace lockstep::topology {

Reading inventoryOf(hwloc_topology* topology) {
  char* raw = nullptr;
  int size = 0;  // with the 0 at its end
  if (hwloc_topology_export_xmlbuffer(topology, &raw, &size, 0) != 0)
    failErrno("hwloc cannot write the topology that it has loaded");
  const auto free = [topology](char* buffer) { hwloc_free_xmlbuffer(topology, buffer); };
  const std::unique_ptr<char, decltype(free)> xml(raw, free);
  Reading reading =
      readHwlocXml({xml.get(), static_cast<std::size_t>(size) - 1}, "hwloc", LinkGuess::none);
  for (Remark& remark : reading.remarks) remark.line = 0;
  return reading;
}

}  // namespace lockstep::topology
