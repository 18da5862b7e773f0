// Which mode of confidential computing a machine is in. NVML says it in two words that mislead
// alone: under protected PCIe ccFeature reads disabled, and encrypted NVLinks (NVLE) without
// ccFeature are not confidential computing (shared facts, section 1).
#pragma once

#include <cstdint>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

enum class Confidentiality : std::uint8_t {
  none,             ///< or not known
  singleGpu,        ///< SPT: every GPU for itself; no peers
  unknownMultiGpu,  ///< on, and the driver is too old to say which
  protectedPcie,    ///< PPCIe: all GPUs and switches in one VM, NVLink in plaintext
  encryptedNvlink   ///< NVLE: at most eight GPUs
};
Confidentiality confidentiality(const Inventory& inventory);

}  // namespace lockstep::topology
