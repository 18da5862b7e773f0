// What NVML answered, as plain data: recorded by gather(), understood by classify().
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "topology/probes/nvml/abi.hpp"

namespace lockstep::topology::nvml {

/// What one call returned. A driver without the function answers functionNotFound.
template <class Value>
struct Answer {
  Return result = Return::functionNotFound;
  Value value{};
  bool known() const { return result == Return::success; }
};

struct PciRecord {
  std::string busId;  ///< as written: "00000000:1B:00.0"
  std::uint32_t deviceId = 0;
  std::uint32_t subsystemId = 0;
};

struct ComputeCapability {
  int major = 0;
  int minor = 0;
};

struct LinkRecord {
  Answer<unsigned> p2p;  ///< LinkCapability::p2pSupported
  Answer<Enabled> state;
  Answer<std::string> remote;  ///< bus id, as written
  Answer<RemoteType> remoteType;
};

struct ChipToChipRecord {
  unsigned active = 0;
  unsigned megabytesPerSecond = 0;  ///< of each
};

struct FabricRecord {
  FabricInfoV2 info;
  bool hasHealth = false;  ///< false where only the older function told
};

struct PeerRecord {
  int index = 0;  ///< NVML's number of the other GPU
  Answer<P2pStatus> read;
  Answer<P2pStatus> nvlink;
};

struct GpuRecord {
  int index = 0;                    ///< NVML's number
  Return handle = Return::success;  ///< where that failed, nothing else was asked
  Answer<PciRecord> pci;
  Answer<ComputeCapability> capability;
  Answer<std::string> name;
  Answer<std::string> uuid;
  Answer<unsigned> generation, width;          ///< of its PCIe link
  Answer<unsigned> mostGeneration, mostWidth;  ///< of GPU and machine together
  std::vector<LinkRecord> links;               ///< by number, to the most that NVML can have
  Answer<ChipToChipRecord> chipToChip;
  Answer<FabricRecord> fabric;
  std::vector<PeerRecord> peers;
};

struct MachineRecord {
  std::vector<std::string_view> missing;  ///< Functions::missing
  Answer<std::string> driver;
  Answer<unsigned> count;
  std::vector<GpuRecord> gpus;  ///< the first ones, where there are too many
  Answer<CcSettings> settings;
  Answer<CcState> state;  ///< asked where the settings are not known
};

}  // namespace lockstep::topology::nvml
