// A machine as the fake NVML shows it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "topology/probes/nvml/abi.hpp"

namespace lockstep::topology::nvml::fake {

struct Link {
  bool active = true;
  std::string remote;  ///< bus id as NVML writes it; empty: the driver will not tell
  RemoteType type = RemoteType::nvSwitch;
};

struct Fabric {
  std::uint32_t state = 0;
  std::uint8_t clusterByte = 0;  ///< all 16 of its UUID
  std::uint32_t clique = 0;
  std::uint32_t health = 0;
};

struct Gpu {
  std::string busId;  ///< as NVML writes it: "00000000:0F:00.0"
  std::string name = "NVIDIA H100 80GB HBM3";
  std::string uuid;
  int major = 9;
  int minor = 0;
  std::uint32_t pciDeviceId = 0x233010de;
  std::uint32_t pciSubSystemId = 0x16c110de;
  unsigned generation = 5, mostGeneration = 5;
  unsigned width = 16, mostWidth = 16;
  std::vector<Link> links;
  unsigned chipToChipLinks = 0;
  Fabric fabric;
  Return handle = Return::success;  ///< what its handle gives
  Return state = Return::success;   ///< what all but its PCI address gives
};

struct Machine {
  Return init = Return::success;
  std::string driver = "570.86.15";
  std::vector<Gpu> gpus;
  unsigned count = 0;        ///< instead of the number of GPUs, where not 0
  bool confidential = true;  ///< false: the driver does not support the question
  CcSettings settings;
  P2pStatus read = P2pStatus::ok;  ///< between any two GPUs
  P2pStatus nvlink = P2pStatus::ok;
};

/// The machine of this name; one whose nvmlInit fails as unknown where there is none.
Machine scenario(std::string_view name);

}  // namespace lockstep::topology::nvml::fake
