#include "topology/inventory/pcie.hpp"

#include <array>
#include <cmath>
#include <cstddef>

namespace lockstep::topology {
namespace {

/// PCI Express Base Specification, by generation from 1.
constexpr std::array<double, 7> kGigatransfers{2.5, 5, 8, 16, 32, 64, 128};

}  // namespace

int pcieGeneration(TransferRate rate) {
  for (std::size_t i = 0; i < kGigatransfers.size(); ++i)
    if (std::abs(rate.gigatransfers() - kGigatransfers[i]) < 0.01) return static_cast<int>(i) + 1;
  return 0;
}

TransferRate pcieRate(int generation) {
  if (generation < 1 || generation > static_cast<int>(kGigatransfers.size())) return {};
  return TransferRate::gigatransfers(kGigatransfers[static_cast<std::size_t>(generation) - 1]);
}

}  // namespace lockstep::topology
