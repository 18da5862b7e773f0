#include "topology/rules/evidence/confidential.hpp"

namespace lockstep::topology {

Confidentiality confidentiality(const Inventory& inventory) {
  using MultiGpu = ConfidentialComputing::MultiGpu;
  if (!inventory.driver.confidential) return Confidentiality::none;
  const ConfidentialComputing& cc = *inventory.driver.confidential;
  if (cc.multiGpuKnown && cc.multiGpu == MultiGpu::protectedPcie)
    return Confidentiality::protectedPcie;
  if (!cc.feature) return Confidentiality::none;
  if (!cc.multiGpuKnown) return Confidentiality::unknownMultiGpu;
  return cc.multiGpu == MultiGpu::nvle ? Confidentiality::encryptedNvlink
                                       : Confidentiality::singleGpu;
}

}  // namespace lockstep::topology
