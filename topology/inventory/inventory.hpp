// What sources tell about machines, as plain data: rows that refer to each other by index. Probes,
// readers and presets fill it, merge() joins it, and a Graph is built from it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "topology/inventory/bus_id.hpp"
#include "topology/inventory/units.hpp"

namespace lockstep::topology {

/// What a file said that means nothing to us, kept for whoever reads what we write: name and value.
using Attributes = std::vector<std::pair<std::string, std::string>>;

/// No row: a device at a CPU's own root port has no switch above it.
inline constexpr int kNone = -1;

/// A NUMA node, with the CPU it is part of. NCCL calls it <cpu>.
struct Cpu {
  std::string host;      ///< which machine, where there are several; empty where there is one
  int numa = kNone;      ///< the kernel's number of the NUMA node
  int package = kNone;   ///< the socket
  std::string affinity;  ///< its threads as the kernel writes masks: "00000000,00ffffff"
  std::string arch;      ///< "x86_64", "arm64", "ppc64"
  std::string vendor;    ///< CPUID's: "GenuineIntel", "AuthenticAMD"
  std::string model;     ///< what it is sold as
  int familyId = kNone;  ///< CPUID's
  int modelId = kNone;   ///< CPUID's
  Attributes other;
  friend bool operator==(const Cpu&, const Cpu&) = default;
};

/// Both parts are 0 where not known.
struct PcieLink {
  TransferRate speed;
  int width = 0;  ///< lanes
  friend bool operator==(const PcieLink&, const PcieLink&) = default;
};

/// A PCI function: a switch's upstream port, or a device. Root ports and the downstream ports of
/// switches are left out, as NCCL does: they add no choice of way, only names.
struct PciDevice {
  BusId id;
  int cpu = kNone;              ///< row; kNone until a source knows
  int parent = kNone;           ///< row of the switch above, smaller than this one's; or kNone
  std::uint32_t classCode = 0;  ///< "0x030200" is a 3D controller
  std::optional<std::uint16_t> vendor, device, subsystemVendor, subsystemDevice;
  PcieLink link;     ///< as trained
  PcieLink capable;  ///< what both ends of the link could do, where a source knows
  std::string name;  ///< "NVIDIA H100 80GB HBM3", where a source knows
  /// Switches that are one with this one inside: parts of one chip (NCCL's <pcilink>).
  std::vector<BusId> peerSwitches;
  Attributes other;
  friend bool operator==(const PciDevice&, const PciDevice&) = default;
};

namespace pci_class {
inline constexpr std::uint32_t kBridge = 0x060400;
inline constexpr std::uint32_t kNvSwitch = 0x068000;  ///< "other bridge"
inline constexpr std::uint32_t kCpu = 0x068001;       ///< in NVLink targets: the CPU of POWER9
inline constexpr std::uint32_t kVga = 0x030000;
inline constexpr std::uint32_t k3d = 0x030200;
inline constexpr std::uint32_t kOtherDisplay = 0x038000;
inline constexpr std::uint32_t kAccelerator = 0x120000;
inline constexpr std::uint32_t kEthernet = 0x020000;
inline constexpr std::uint32_t kInfiniband = 0x020700;
/// Of a class without its programming interface.
constexpr std::uint32_t withoutInterface(std::uint32_t code) {
  return code & ~0xffU;
}
}  // namespace pci_class

enum class GpuLinkKind : std::uint8_t { nvlink, xgmi };

/// Links of one GPU to one target.
struct GpuLinks {
  GpuLinkKind kind = GpuLinkKind::nvlink;
  BusId target;
  int count = 0;                  ///< active ones
  std::uint32_t targetClass = 0;  ///< 0x068000 an NVSwitch, 0x0302xx a GPU, 0x068001 a CPU
  Attributes other;
  friend bool operator==(const GpuLinks&, const GpuLinks&) = default;
};

/// The coherent chip-to-chip link between a Grace CPU and its GPU.
struct ChipToChip {
  int count = 0;
  Bandwidth each;
  Attributes other;
  friend bool operator==(const ChipToChip&, const ChipToChip&) = default;
};

/// What the NVLink fabric manager says of a GPU (NVML's nvmlGpuFabricInfoV).
struct FabricState {
  enum class State : std::uint8_t { notSupported, notStarted, inProgress, completed };
  State state = State::notSupported;
  std::uint32_t status = 0;  ///< an nvmlReturn_t: how registration ended, once completed
  std::string clusterUuid;   ///< 32 hexadecimal digits; all zero outside of multi-node NVLink
  std::uint32_t clique = 0;
  std::optional<std::uint32_t>
      health;  ///< nvmlGpuFabricInfoV_t::healthMask, where the driver has it
  friend bool operator==(const FabricState&, const FabricState&) = default;
};

/// Whether one GPU may read another's memory, as the driver says.
struct PeerAccess {
  int gpu = kNone;  ///< row of the other
  bool allowed = false;
  std::string reason;  ///< why not, in NVML's words
  friend bool operator==(const PeerAccess&, const PeerAccess&) = default;
};

struct Gpu {
  int pci = kNone;         ///< row
  int device = kNone;      ///< number that CUDA or the file gives it
  int sm = 0;              ///< compute capability times 10 (90 is Hopper); RCCL: compute units
  int rank = kNone;        ///< the communicator's, in files that NCCL dumped
  bool gpuDirect = false;  ///< NICs may write its memory
  std::string uuid;
  std::vector<GpuLinks> links;
  std::vector<ChipToChip> chipToChip;
  std::vector<int> deadLinks;  ///< numbers of the NVLinks that exist and are not active; live only
  std::optional<FabricState> fabric;  ///< live only
  std::vector<PeerAccess> peers;      ///< live only
  Attributes other;
  friend bool operator==(const Gpu&, const Gpu&) = default;
};

/// A port of a network card.
struct Nic {
  int pci = kNone;  ///< row, or kNone where the source does not say
  int cpu = kNone;  ///< row; of its PCI device where it has one
  std::string name;
  int device = kNone;
  Bandwidth speed;
  int port = 0;
  double latency = 0;  ///< microseconds
  std::string guid;    ///< as written: "0x48191e0003ae6d94"
  int maxConnections = 0;
  bool gpuDirect = false;
  std::optional<bool> up;  ///< live only: the link is there
  Attributes other;
  friend bool operator==(const Nic&, const Nic&) = default;
};

/// NVML's words for confidential computing, both of them: under protected PCIe ccFeature reads
/// disabled, and encrypted NVLink (NVLE) alone is not confidential computing.
struct ConfidentialComputing {
  enum class MultiGpu : std::uint8_t { none, protectedPcie, nvle };
  bool feature = false;  ///< ccFeature: single-GPU CC is on
  MultiGpu multiGpu = MultiGpu::none;
  bool multiGpuKnown = false;  ///< false: the driver is too old to say
  bool production = false;     ///< environment: prod, and not a simulation
  bool devTools = false;       ///< debugging allowed, so not confidential
  friend bool operator==(const ConfidentialComputing&, const ConfidentialComputing&) = default;
};

/// A GPU that the driver counts and cannot talk to.
struct LostGpu {
  int number = kNone;       ///< the driver's
  std::optional<BusId> id;  ///< where it was, if the driver remembers
  std::string reason;       ///< in words
  friend bool operator==(const LostGpu&, const LostGpu&) = default;
};

/// Facts of the whole machine that only a driver tells.
struct Driver {
  std::string version;  ///< "570.86.15"; empty without a driver
  std::optional<ConfidentialComputing> confidential;
  std::vector<LostGpu> lost;
  friend bool operator==(const Driver&, const Driver&) = default;
};

struct Inventory {
  std::string source;  ///< "this machine", a file's name, "preset dgx-h100"
  int version = 1;     ///< of the NCCL schema it was read from: 2 is RCCL's
  std::vector<Cpu> cpus;
  std::vector<PciDevice> pci;  ///< parents before their children
  std::vector<Gpu> gpus;
  std::vector<Nic> nics;
  Driver driver;
  friend bool operator==(const Inventory&, const Inventory&) = default;
};

/// The machine that a PCI device is in; empty where there is one machine, or none knows.
const std::string& hostOf(const Inventory& inventory, const PciDevice& device);
/// Row of the PCI device, or kNone. `host` as in Cpu.
int findPci(const Inventory& inventory, const std::string& host, const BusId& id);
/// Row of the NUMA node, or kNone.
int findCpu(const Inventory& inventory, const std::string& host, int numa);
/// Row of the GPU on this PCI device, or kNone.
int gpuAt(const Inventory& inventory, int pci);
/// A 3D controller, or what else a GPU shows itself as: what hint files have instead of <gpu>.
bool looksLikeGpu(const PciDevice& device);
bool looksLikeNic(const PciDevice& device);
bool isSwitch(const PciDevice& device);

/// Throws Error(internal) naming the row where an index points nowhere or a parent follows its
/// child: whoever filled the inventory has a bug.
void requireSound(const Inventory& inventory);

}  // namespace lockstep::topology
