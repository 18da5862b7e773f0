// From what NVML answered to rows: pure.
#pragma once

#include <optional>
#include <vector>

#include "topology/probes/nvml/records.hpp"
#include "topology/probes/probe.hpp"

namespace lockstep::topology::nvml {

/// GPUs without a bus id have no row; remarks say so, and what else the driver did not tell.
Finding classify(const MachineRecord& machine);

/// Nothing where the driver knows nothing of confidential computing.
std::optional<ConfidentialComputing> confidentialComputing(const MachineRecord& machine);

/// By target, in the order of their first link: `row` gets its links and dead links. `gpus` are the
/// bus ids of all GPUs. Active links that the driver does not say the end of go to `nowhere`, by
/// their number.
void classifyLinks(const std::vector<LinkRecord>& links, const std::vector<BusId>& gpus, Gpu& row,
                   std::vector<int>& nowhere);

}  // namespace lockstep::topology::nvml
