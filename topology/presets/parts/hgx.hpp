// The shape that HGX and DGX machines from H100 on share.
//
//   NUMA 0                            NUMA 1
//   |-- switch -- GPU0, NIC 0         |-- switch -- GPU4, NIC 4
//   |-- switch -- GPU1, NIC 1         |-- switch -- GPU5, NIC 5
//   |-- switch -- GPU2, NIC 2         |-- switch -- GPU6, NIC 6
//   |-- switch -- GPU3, NIC 3         |-- switch -- GPU7, NIC 7
//   `-- storage NIC, two ports        `-- storage NIC, two ports
//
// and every GPU with NVLinks to every NVSwitch. That each GPU has one NIC of the cluster network
// beside it and the others beyond the CPU is what `nvidia-smi topo -m` shows of such machines
// (NVIDIA/nccl issue 1264), and the one switch over both is in what NCCL dumps of them
// (aliyun/SimAI issue 128). Which of those switches are one chip, no software tells. The storage
// NICs are one on each socket: buses 29 and aa in the DGX H100 guide's table of network interfaces.
// Bus numbers here are made up, since no document gives all of them.
#pragma once

#include <string_view>
#include <vector>

#include "topology/presets/parts/models.hpp"

namespace lockstep::topology {

struct Hgx {
  std::string_view preset;
  CpuModel cpu;  ///< two sockets
  GpuModel gpu;
  NicModel cluster;
  NicModel storage;
  PcieLink uplink;                    ///< of the PCIe switches
  std::vector<int> linksPerNvSwitch;  ///< of one GPU, by NVSwitch
};

Inventory makeHgx(const Hgx& machine);

}  // namespace lockstep::topology
