// NVIDIA DGX H100/H200 User Guide (DU-11245-001), "Hardware Overview": all but the GPUs' memory is
// as in a DGX H100 (presets/dgx_h100.cpp), which is taken for the machine around the HGX board.
#include "topology/presets/parts/hgx.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {
namespace {

Inventory make() {
  return makeHgx({.preset = "hgx-h200",
                  .cpu = models::kXeon8480C,
                  .gpu = models::kH200,
                  .cluster = models::kConnectX7,
                  .storage = models::asEthernet(models::kConnectX7),
                  .uplink = models::kGen5,
                  .linksPerNvSwitch = {4, 5, 5, 4}});
}

}  // namespace

extern const Preset kPresetsHgxH200{
    "hgx-h200", "8 H200, 4 NVSwitches, 2 Xeon 8480C, 8 ConnectX-7: an HGX H200 as in a DGX H200",
    make};

}  // namespace lockstep::topology
