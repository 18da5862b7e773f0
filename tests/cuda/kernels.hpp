// Kernels that tests of the compiler compile.
#pragma once

#include <string>
#include <vector>

#include "executor/cuda/kernel.hpp"
#include "executor/cuda/prelude.hpp"

namespace lockstep::cuda {

/// What every kernel is told.
inline std::vector<std::string> kernelDefines() {
  return {"LOCKSTEP_THREADS=256", "LOCKSTEP_SHARED_BYTES=49152"};
}

/// One kernel for each file of the prelude: the file with nothing but what it includes itself.
/// (What is beneath platform.cuh is no file to include.)
inline std::vector<KernelSource> preludeKernels() {
  std::vector<KernelSource> all;
  for (const PreludeFile& file : prelude()) {
    std::string name(file.name.substr(file.name.rfind('/') + 1));
    if (name.starts_with("platform_")) continue;
    name = "only_" + name.substr(0, name.find('.'));
    all.push_back({name,
                   "#include \"" + std::string(file.name) + "\"\nextern \"C\" __global__ void " +
                       name + "() {}\n",
                   kernelDefines()});
  }
  return all;
}

/// Copies bytes, by what the prelude says of machine and launch.
inline KernelSource copyKernel(const std::string& name = "copy") {
  return {name,
          R"(#include "executor/cuda/prelude/layout.cuh"
using namespace lockstep::device;
LOCKSTEP_KERNEL()" +
              name + R"() {
  const Call& call = launch.calls[rankOfLaunch()];
  const u64 stride = u64{blocksPerRank()} * threads();
  for (u64 i = u64{blockOfRank()} * threads() + thread(); i < call.count; i += stride)
    call.out[i] = call.in[i];
}
)",
          kernelDefines()};
}

/// More values at once than the registers that 1024 threads leave to each hold: it must spill.
inline KernelSource greedyKernel() {
  return {"greedy",
          R"(
extern "C" __global__ void __launch_bounds__(1024) greedy(double* data, int n) {
  double q[64];
  __shared__ double all[10];
#pragma unroll
  for (int i = 0; i < 64; ++i) q[i] = data[i];
  for (int round = 0; round < n; ++round) {
#pragma unroll
    for (int i = 0; i < 64; ++i) q[i] = q[i] * q[(i + 1) % 64] + data[round];
  }
  all[threadIdx.x % 10] = q[n % 2];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 64; ++i) data[i] = q[i] + all[i % 10];
}
)",
          {}};
}

/// One that does not compile.
inline KernelSource wrongKernel(const std::string& name = "wrong") {
  return {name, "extern \"C\" __global__ void " + name + "(int* p) { *p = noSuchName; }\n", {}};
}

}  // namespace lockstep::cuda
