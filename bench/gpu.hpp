// The GPUs that a run uses, and which rank has which.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/config.hpp"
#include <lockstep/device.hpp>

namespace lockstep::bench {

/// As the report names them.
struct GpuFacts {
  std::vector<DeviceInfo> devices;  ///< those in use
  std::string driver;               ///< "580.95.05, CUDA 13.0"
  std::string compiler;             ///< "NVRTC 13.0"
  bool emulated = false;            ///< the driver of the tests: times mean nothing
};

/// The first `most` GPUs of this machine; 0: all. Throws UsageError, "no GPU because ..".
GpuFacts detectGpus(int most);

/// The GPU of a rank: ranks are dealt out in turn.
int gpuOf(int rank, const RunConfig& config);

/// Buffers of all ranks must fit their GPUs. Throws UsageError.
void requireGpuMemory(const RunConfig& config, const GpuFacts& facts);

/// One launch is for at most 8 ranks, of one GPU. Throws UsageError.
void requireTogetherPossible(const RunConfig& config);

/// What DeviceCommunicator has not, taken out of the run, each said; empty: it has all. Throws
/// UsageError when nothing is left.
std::vector<std::string> leaveOutWhatGpusLack(RunConfig& config);

/// Every communicator of the run, on this rank.
DeviceOptions deviceOptions(const RunConfig& config, int rank);

void to_json(nlohmann::json& json, const GpuFacts& facts);

}  // namespace lockstep::bench
