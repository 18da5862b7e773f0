// NVIDIA DGX H100/H200 User Guide (DU-11245-001), "Hardware Overview": two Intel Xeon Platinum
// 8480C, eight H100 with 900 GB/s of NVLink, four NVSwitches, eight single-port ConnectX-7 of 400
// Gb/s for the cluster network, two dual-port ConnectX-7 of up to 400 Gb/s for storage.
//
// 18 NVLinks per GPU: NVIDIA H100 Tensor Core GPU data sheet, 900 GB/s in both directions at 25
// GB/s each. 5, 5, 4 and 4 to the four switches: as NCCL dumps such machines (aliyun/SimAI issue
// 128).
#include "topology/presets/parts/hgx.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {
namespace {

Inventory make() {
  return makeHgx({.preset = "dgx-h100",
                  .cpu = models::kXeon8480C,
                  .gpu = models::kH100,
                  .cluster = models::kConnectX7,
                  .storage = models::asEthernet(models::kConnectX7),
                  .uplink = models::kGen5,
                  .linksPerNvSwitch = {4, 5, 5, 4}});
}

}  // namespace

extern const Preset kPresetsDgxH100{
    "dgx-h100", "8 H100, 4 NVSwitches, 2 Xeon 8480C, 8 ConnectX-7: NVIDIA's DGX H100", make};

}  // namespace lockstep::topology
