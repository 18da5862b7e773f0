// NVIDIA DGX B200 User Guide, "Hardware Overview", and the DGX B200 data sheet: two Intel Xeon
// Platinum 8570, eight B200, two NVSwitches with 14.4 TB/s of NVLink in all, eight single-port
// ConnectX-7 of 400 Gb/s, two dual-port BlueField-3 of up to 400 Gb/s.
//
// 18 NVLinks per GPU: 14.4 TB/s over eight GPUs are 1.8 TB/s in both directions, at 50 GB/s each.
// With two equal switches nine go to each.
#include "topology/presets/parts/hgx.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {
namespace {

Inventory make() {
  return makeHgx({.preset = "hgx-b200",
                  .cpu = models::kXeon8570,
                  .gpu = models::kB200,
                  .cluster = models::kConnectX7,
                  .storage = models::kBlueField3,
                  .uplink = models::kGen5,
                  .linksPerNvSwitch = {9, 9}});
}

}  // namespace

extern const Preset kPresetsHgxB200{
    "hgx-b200", "8 B200, 2 NVSwitches, 2 Xeon 8570, 8 ConnectX-7: an HGX B200 as in a DGX B200",
    make};

}  // namespace lockstep::topology
