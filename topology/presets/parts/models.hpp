// What machines are made of: the CPUs, GPUs and NICs of presets. Each figure with its source.
//
// PCI device numbers are those of the PCI ID Repository (pci-ids.ucw.cz), CPUID's families and
// models those of Linux (arch/x86/include/asm/intel-family.h, arch/x86/kernel/cpu/amd.c).
#pragma once

#include <cstdint>
#include <string_view>

#include "topology/inventory/inventory.hpp"
#include "topology/inventory/units.hpp"

namespace lockstep::topology {

struct CpuModel {
  std::string_view name, arch, vendor;
  int familyId = kNone;
  int modelId = kNone;
  int cores = 0;  ///< of one socket
  int threadsPerCore = 1;
};

struct GpuModel {
  std::string_view name;
  std::uint16_t device = 0;
  int sm = 0;
  PcieLink link;
};

struct NicModel {
  std::string_view name;
  std::uint16_t device = 0;
  std::uint32_t classCode = 0;
  Bandwidth speed;  ///< of one port
  PcieLink link;
};

namespace models {

inline constexpr PcieLink kGen4{TransferRate::gigatransfers(16), 16};
inline constexpr PcieLink kGen5{TransferRate::gigatransfers(32), 16};
inline constexpr PcieLink kGen6{TransferRate::gigatransfers(64), 16};

// Cores and threads: Intel ARK, AMD's EPYC 7002 and NVIDIA's Grace data sheets.
inline constexpr CpuModel kXeon8480C{
    // Sapphire Rapids
    "Intel(R) Xeon(R) Platinum 8480C", "x86_64", "GenuineIntel", 6, 0x8f, 56, 2};
inline constexpr CpuModel kXeon8570{
    // Emerald Rapids
    "Intel(R) Xeon(R) Platinum 8570", "x86_64", "GenuineIntel", 6, 0xcf, 56, 2};
inline constexpr CpuModel kXeon6776P{
    // Granite Rapids
    "Intel(R) Xeon(R) 6776P", "x86_64", "GenuineIntel", 6, 0xad, 64, 2};
inline constexpr CpuModel kEpyc7742{
    // Zen 2
    "AMD EPYC 7742 64-Core Processor", "x86_64", "AuthenticAMD", 0x17, 0x31, 64, 2};
inline constexpr CpuModel kGrace{"NVIDIA Grace", "arm64", "", kNone, kNone, 72, 1};

// Compute capability: NVIDIA's "CUDA GPU Compute Capability" page. PCIe: the GPUs' data sheets.
inline constexpr GpuModel kA100{"NVIDIA A100-SXM4-80GB", 0x20b2, 80, kGen4};
inline constexpr GpuModel kL40S{"NVIDIA L40S", 0x26b9, 89, kGen4};
inline constexpr GpuModel kH100{"NVIDIA H100 80GB HBM3", 0x2330, 90, kGen5};
inline constexpr GpuModel kH200{"NVIDIA H200", 0x2335, 90, kGen5};
inline constexpr GpuModel kB200{"NVIDIA B200", 0x2901, 100, kGen5};
/// Gen6: the GPU's link is one of the PCIe switch in its ConnectX-8.
inline constexpr GpuModel kB300{"NVIDIA B300 SXM6 AC", 0x3182, 103, kGen6};
/// Its PCIe link is for control and narrow (2 lanes in dumps of its kin); data take the
/// chip-to-chip link. No document tells its width, so it is not known here.
inline constexpr GpuModel kGb200{"NVIDIA GB200", 0x2941, 100, {}};

// Speeds: the data sheets of the machines that the presets name.
inline constexpr NicModel kConnectX6{"ConnectX-6", 0x101b, pci_class::kInfiniband,
                                     Bandwidth::megabitsPerSecond(200e3), kGen4};
inline constexpr NicModel kConnectX7{"ConnectX-7", 0x1021, pci_class::kInfiniband,
                                     Bandwidth::megabitsPerSecond(400e3), kGen5};
inline constexpr NicModel kConnectX8{"ConnectX-8", 0x1023, pci_class::kInfiniband,
                                     Bandwidth::megabitsPerSecond(800e3), kGen6};
inline constexpr NicModel kBlueField3{"BlueField-3", 0xa2dc, pci_class::kEthernet,
                                      Bandwidth::megabitsPerSecond(400e3), kGen5};

/// The same card, for Ethernet.
constexpr NicModel asEthernet(NicModel nic) {
  nic.classCode = pci_class::kEthernet;
  return nic;
}

}  // namespace models
}  // namespace lockstep::topology
