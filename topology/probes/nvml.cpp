// NVIDIA's driver: GPUs, their NVLinks, the fabric they are in, and confidential computing.
#include "topology/probes/nvml/classify.hpp"
#include "topology/probes/nvml/gather.hpp"
#include "topology/probes/probe.hpp"

namespace lockstep::topology {
namespace {

Finding look(const Surroundings& surroundings) {
  const nvml::Library library(surroundings.nvml);
  if (library.why().empty()) return nvml::classify(nvml::gather(library.functions()));
  Finding finding;
  finding.absent = library.why();
  return finding;
}

}  // namespace

extern const Probe kProbesNvml = {.name = "nvml", .stage = 2, .look = look};

}  // namespace lockstep::topology
