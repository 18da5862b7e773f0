#include "topology/graph/bandwidths.hpp"

#include <algorithm>
#include <iterator>

namespace lockstep::topology {
namespace {

Bandwidth gb(double value) {
  return Bandwidth::gigabytesPerSecond(value);
}

/// What is left of PCIe's raw bits for data: published copies between host and H100 over Gen5 x16,
/// 64 GB/s raw, move about 55. Line code, packet headers and credits take the rest, in about the
/// same share in all generations.
constexpr double kPcieEfficiency = 55.0 / 64.0;

struct Since {
  int from;  // compute capability times 10, or model; up to the next
  double gigabytes;
};

/// One link and direction, as NCCL counts it (src/graph/topo.h, 2.28): 80 to 90 % of the raw rate.
constexpr Since kNvlink[] = {{60, 18.0}, {70, 20.0}, {80, 20.0},
                             {86, 12.0}, {90, 20.6}, {100, 40.1}};

/// Intel's family 6, from which model on (src/graph/topo.h and topo.cc of NCCL 2.28): QPI or UPI.
constexpr int kIntelFamily = 6;
constexpr Since kIntelModels[] = {
    {0, 6.0},      // Broadwell and before
    {0x55, 10.0},  // Skylake to Ice Lake
    {0x8f, 22.0},  // Sapphire Rapids
    {0xcf, 40.0},  // Emerald Rapids
};
/// Granite Rapids (two numbers) and Sierra Forest are later than Emerald Rapids, by lower numbers:
/// NCCL 2.28 takes them for Sapphire Rapids (its issue 2107).
constexpr int kLaterWithLowerNumbers[] = {0xad, 0xae, 0xaf};

// From the same place. Between two Grace CPUs too, where 6 is a placeholder more than a figure.
constexpr double kAmd = 16.0;    // Infinity Fabric
constexpr double kPower = 32.0;  // POWER9
constexpr double kArm = 6.0;

Bandwidth intelBandwidth(const Cpu& cpu) {
  if (cpu.familyId != kNone && cpu.familyId != kIntelFamily) return {};
  if (std::count(std::begin(kLaterWithLowerNumbers), std::end(kLaterWithLowerNumbers),
                 cpu.modelId) > 0)
    return gb(std::rbegin(kIntelModels)->gigabytes);
  double gigabytes = kIntelModels[0].gigabytes;
  for (const Since& known : kIntelModels)
    if (cpu.modelId >= known.from) gigabytes = known.gigabytes;
  return gb(gigabytes);
}

}  // namespace

Bandwidth pcieBandwidth(const PcieLink& link) {
  if (!link.speed.known() || link.width <= 0) return {};
  // Generations 1 and 2 send 8 bits as 10; later ones lose almost nothing to the code.
  const double code = link.speed.gigatransfers() < 8 ? 0.8 : 1.0;
  return gb(link.speed.gigatransfers() / 8 * link.width * code * kPcieEfficiency);
}

Bandwidth nvlinkBandwidth(int sm) {
  Bandwidth bandwidth;
  for (const Since& known : kNvlink)
    if (sm >= known.from) bandwidth = gb(known.gigabytes);
  return bandwidth;
}

Bandwidth xgmiBandwidth(std::string_view gcn) {
  // src/graph/topo.h of RCCL: VEGA_XGMI_WIDTH, MI200_XGMI_WIDTH, GFX94X_XGMI_WIDTH,
  // GFX95X_XGMI_WIDTH.
  if (gcn.starts_with("gfx")) gcn.remove_prefix(3);
  if (gcn.starts_with("95")) return gb(61.0);
  if (gcn.starts_with("94")) return gb(48.0);
  if (gcn.starts_with("90a") || gcn == "910") return gb(36.0);
  return gb(24.0);
}

Bandwidth interCpuBandwidth(const Cpu& a, const Cpu& b) {
  const auto one = [](const Cpu& cpu) -> Bandwidth {
    if (cpu.arch.starts_with("ppc")) return gb(kPower);
    if (cpu.arch.starts_with("arm") || cpu.arch.starts_with("aarch")) return gb(kArm);
    if (cpu.vendor == "GenuineIntel") return intelBandwidth(cpu);
    if (cpu.vendor == "AuthenticAMD") return gb(kAmd);
    return {};
  };
  return narrower(one(a), one(b));
}

}  // namespace lockstep::topology
