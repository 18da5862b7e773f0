#include "topology/rules/evidence/fabric.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "topology/rules/evidence/peers.hpp"

namespace lockstep::topology {
namespace {

using Kind = FabricFault::Kind;

/// A field of nvmlGpuFabricInfoV_t::healthMask (nvml.h, NVML_GPU_FABRIC_HEALTH_MASK_*): 0 is "not
/// supported"; `bad` is what is wrong.
struct HealthField {
  int shift;
  std::uint32_t bad;
  Severity severity;
  Kind kind;
  std::string_view words;
};
constexpr std::uint32_t kTwoBits = 0x3;
constexpr HealthField kHealthFields[] = {
    {0, 1, Severity::warning, Kind::links, "degraded bandwidth"},
    {2, 1, Severity::warning, Kind::other, "a route is being recovered"},
    {4, 1, Severity::error, Kind::other, "an unhealthy route"},
    {6, 1, Severity::warning, Kind::other, "recovery from an access timeout"},
    {12, 2, Severity::warning, Kind::other, "no partition assigned"},
    {14, 2, Severity::warning, Kind::other, "no connection to the global fabric manager"},
};

/// NVML_GPU_FABRIC_HEALTH_MASK_INCORRECT_CONFIGURATION_*, from 2; 0 and 1 are fine.
constexpr int kConfigurationShift = 8;
constexpr std::uint32_t kFourBits = 0xf;
constexpr std::uint32_t kInsufficientNvlinks = 5;
constexpr std::array<std::string_view, 7> kWrongConfigurations{
    "wrong system GUID",         "wrong chassis serial number", "no partition",
    "too few NVLinks",           "GPU firmware does not fit",   "invalid location",
    "the GPU's state is invalid"};

void addConfiguration(std::uint32_t health, std::vector<FabricFault>& faults) {
  const std::uint32_t code = (health >> kConfigurationShift) & kFourBits;
  if (code < 2) return;
  const std::string words = code - 2 < kWrongConfigurations.size()
                                ? std::string(kWrongConfigurations[code - 2])
                                : fmt::format("code {}", code);
  faults.push_back({Severity::error, code == kInsufficientNvlinks ? Kind::links : Kind::other,
                    fmt::format("wrong configuration ({})", words)});
}

/// nvmlReturn_t, those that a registration can end with.
std::string_view wordsOfStatus(std::uint32_t status) {
  switch (status) {
    case 3:
      return " (not supported)";
    case 4:
      return " (no permission)";
    case 10:
      return " (timeout)";
    case 15:
      return " (GPU is lost)";
    case 16:
      return " (reset required)";
    case 999:
      return " (unknown error)";
    default:
      return "";
  }
}

std::vector<FabricFault> faultsOfCompleted(const FabricState& fabric) {
  std::vector<FabricFault> faults;
  if (fabric.status != 0)
    faults.push_back({Severity::error, Kind::registration,
                      fmt::format("failed to register with the NVLink fabric: NVML error {}{}",
                                  fabric.status, wordsOfStatus(fabric.status))});
  const std::uint32_t health = fabric.health.value_or(0);
  for (const HealthField& field : kHealthFields)
    if (((health >> field.shift) & kTwoBits) == field.bad)
      faults.push_back({field.severity, field.kind, std::string(field.words)});
  addConfiguration(health, faults);
  return faults;
}

}  // namespace

std::vector<FabricFault> fabricFaults(const Gpu& gpu) {
  if (!gpu.fabric) return {};
  switch (gpu.fabric->state) {
    case FabricState::State::notStarted:
      return {{Severity::error, Kind::registration,
               "did not begin to register with the NVLink fabric"}};
    case FabricState::State::inProgress:
      return {{Severity::error, Kind::registration,
               "did not finish registering with the NVLink fabric"}};
    case FabricState::State::completed:
      return faultsOfCompleted(*gpu.fabric);
    case FabricState::State::notSupported:
      break;
  }
  return {};
}

bool fabricIsDown(const Gpu& gpu) {
  const std::vector<FabricFault> faults = fabricFaults(gpu);
  return std::any_of(faults.begin(), faults.end(),
                     [](const FabricFault& fault) { return fault.kind == Kind::registration; });
}

std::vector<Partition> partitions(const Graph& graph, const std::vector<NodeId>& gpus) {
  std::vector<Partition> all;
  for (const NodeId id : gpus) {
    const Gpu& gpu = gpuOf(graph, id);
    if (!gpu.fabric || gpu.fabric->state != FabricState::State::completed || fabricIsDown(gpu))
      continue;
    auto same = std::find_if(all.begin(), all.end(), [&](const Partition& known) {
      return known.clusterUuid == gpu.fabric->clusterUuid && known.clique == gpu.fabric->clique;
    });
    if (same == all.end())
      same = all.insert(all.end(), {gpu.fabric->clusterUuid, gpu.fabric->clique, {}});
    same->gpus.push_back(id);
  }
  return all;
}

}  // namespace lockstep::topology
