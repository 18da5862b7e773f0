#include "bench/gpu.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <regex>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/cuda/driver.hpp"
#include "base/cuda/library.hpp"
#include "base/cuda/nvrtc.hpp"
#include "bench/subject.hpp"

namespace lockstep::bench {
namespace {

/// What alloc() rounds every buffer up to, and more.
constexpr std::size_t kHeapUnit = 4096;

/// The driver queues streams in 8 places by default. What is behind a waiting call in its place
/// waits too, although of ranks that share a GPU it may be the very call that is waited for. The
/// user's choice stands; worker processes inherit it.
void queueStreamsApart() {
  ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);  // before the driver starts
}

/// The driver's own version, which CUDA does not tell: "580.95.05", or empty.
std::string kernelModuleVersion() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  std::smatch match;
  static const std::regex number(R"(\s(\d+\.\d+(\.\d+)?)\s)");
  return std::getline(file, line) && std::regex_search(line, match, number) ? match[1].str() : "";
}

std::string driverText(bool emulated) {
  const std::string cuda = "CUDA " + cuda::versionText(cuda::driver().version);
  const std::string module = emulated ? "emulated" : kernelModuleVersion();
  return module.empty() ? cuda : module + ", " + cuda;
}

std::string compilerText(bool emulated) {
  const cuda::Nvrtc* nvrtc = cuda::findNvrtc();
  if (nvrtc == nullptr) return cuda::nvrtcWhyNot();
  return fmt::format("NVRTC {}.{}{}", nvrtc->major, nvrtc->minor, emulated ? ", emulated" : "");
}

std::size_t heapBytes(const RunConfig& config) {
  if (!config.registered) return 0;
  const std::size_t buffer =
      (largestMessage(config) + kGuardBytes + kHeapUnit - 1) / kHeapUnit * kHeapUnit;
  return 2 * buffer;
}

}  // namespace

GpuFacts detectGpus(int most) {
  queueStreamsApart();
  Devices found = devices();
  if (found.list.empty()) throw UsageError(found.none);
  GpuFacts facts;
  facts.devices = std::move(found.list);
  if (most > 0 && static_cast<std::size_t>(most) < facts.devices.size())
    facts.devices.resize(static_cast<std::size_t>(most));
  facts.emulated = facts.devices.front().emulated;
  facts.driver = driverText(facts.emulated);
  facts.compiler = compilerText(facts.emulated);
  return facts;
}

int gpuOf(int rank, const RunConfig& config) {
  return rank % config.gpus;
}

void requireGpuMemory(const RunConfig& config, const GpuFacts& facts) {
  const std::size_t sets =
      (config.registered ? variantsOf(config).size() : 1) + (config.rivals.empty() ? 0 : 1);
  for (int gpu = 0; gpu < config.gpus; ++gpu) {
    const int ranks = (config.ranks - gpu + config.gpus - 1) / config.gpus;
    const double needed =
        2.0 * static_cast<double>(largestMessage(config)) * static_cast<double>(sets) * ranks;
    const auto memory =
        static_cast<double>(facts.devices[static_cast<std::size_t>(gpu)].memoryBytes);
    if (needed > memory)
      throw UsageError(fmt::format(
          "--maxbytes {} needs {} for the buffers of {} on GPU {}, which has {}; lower it or "
          "--ranks",
          formatBytes(static_cast<double>(config.sizes.maxBytes)), formatBytes(needed),
          ranks == 1 ? "a rank" : fmt::format("{} ranks", ranks), gpu, formatBytes(memory)));
  }
}

void requireTogetherPossible(const RunConfig& config) {
  constexpr int kMostTogether = 8;
  if (!config.together) return;
  if (config.gpus != 1 || !ranksShareGpus(config) || config.ranks > kMostTogether)
    throw UsageError(fmt::format(
        "--launch together is for 2 to {} ranks that share one GPU (--gpus 1), not {} on {}",
        kMostTogether, config.ranks, config.gpus));
}

std::vector<std::string> leaveOutWhatGpusLack(RunConfig& config) {
  std::vector<std::string> said;
  const auto takeOut = [&](auto& values, auto lacks, const char* what) {
    for (const auto value : values)
      if (lacks(value)) said.push_back(fmt::format("{} is left out: {}", name(value), what));
    std::erase_if(values, lacks);
    if (values.empty()) throw UsageError(said.back());
  };
  takeOut(
      config.ops, [&](Operation op) { return config.together && !collectiveOf(op).has_value(); },
      "one launch for all ranks has no sends and receives");
  return said;
}

DeviceOptions deviceOptions(const RunConfig& config, int rank) {
  DeviceOptions options;
  options.device = gpuOf(rank, config);
  options.heapBytes = heapBytes(config);
  options.collectives = {Collective::barrier};
  for (const Operation op : config.ops)
    if (const auto collective = collectiveOf(op); collective && op != Operation::barrier)
      options.collectives.push_back(*collective);
  options.types = config.types;
  options.reductions = config.reductions;
  return options;
}

void to_json(nlohmann::json& json, const GpuFacts& facts) {
  json = {{"driver", facts.driver}, {"compiler", facts.compiler}, {"emulated", facts.emulated}};
  json["devices"] = nlohmann::json::array();
  for (const DeviceInfo& device : facts.devices)
    json["devices"].push_back(
        {{"ordinal", device.ordinal},
         {"name", device.name},
         {"compute", fmt::format("{}.{}", device.computeMajor, device.computeMinor)},
         {"multiprocessors", device.multiprocessors},
         {"memoryBytes", device.memoryBytes}});
}

}  // namespace lockstep::bench
