// NVIDIA DGX B300 User Guide, "Hardware Overview", and the DGX B300 data sheet: two Intel Xeon
// 6776P, eight B300, two NVSwitches with 14.4 TB/s of NVLink in all (so 18 NVLinks per GPU, nine to
// each switch: presets/hgx_b200.cpp), eight single-port ConnectX-8 of 800 Gb/s, two dual-port
// BlueField-3 of up to 400 Gb/s.
//
// ConnectX-8 SuperNIC data sheet: a PCIe Gen6 switch is part of it, and the GPU hangs below that.
// The CPU's side is Gen5 (Intel ARK, Xeon 6776P).
#include "topology/presets/parts/hgx.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {
namespace {

Inventory make() {
  return makeHgx({.preset = "hgx-b300",
                  .cpu = models::kXeon6776P,
                  .gpu = models::kB300,
                  .cluster = models::kConnectX8,
                  .storage = models::kBlueField3,
                  .uplink = models::kGen5,
                  .linksPerNvSwitch = {9, 9}});
}

}  // namespace

extern const Preset kPresetsHgxB300{
    "hgx-b300", "8 B300, 2 NVSwitches, 2 Xeon 6776P, 8 ConnectX-8: an HGX B300 as in a DGX B300",
    make};

}  // namespace lockstep::topology
