// nvrtc_matrix [WORLD..]: every kernel in worlds of these sizes (4), for every chip that this NVRTC
// knows and the kernels are for, and a table of what does not compile or takes too much. Exit
// status 0: nothing does; 1: something; 77: no NVRTC. It takes hours.
#include <cstdio>
#include <cstdlib>

#include "cuda/generated_kernels.hpp"
#include "cuda/nvrtc_matrix.hpp"
#include "cuda/real_nvrtc.hpp"

namespace lockstep::cuda {
namespace {

std::vector<Chip> everyChip() {
  std::vector<Chip> chips;
  for (const int number : nvrtc().architectures)
    if (number >= kChips.front().number()) chips.push_back({number / 10, number % 10});
  return chips;
}

/// A list of world sizes; of none, four.
std::vector<int> worldsOf(int count, char** texts) {
  std::vector<int> worlds;
  for (int i = 1; i < count; ++i) worlds.push_back(std::atoi(texts[i]));
  return worlds.empty() ? std::vector{4} : worlds;
}

int run(const std::vector<int>& worlds) {
  if (const std::string why = noRealNvrtc(); !why.empty()) {
    std::puts(why.c_str());
    return 77;
  }
  const MatrixReport report = nvrtcMatrix(everyKernel(worlds), everyChip(), kCeiling);
  std::fputs(report.text().c_str(), stdout);
  return report.faults.empty() ? 0 : 1;
}

}  // namespace
}  // namespace lockstep::cuda

int main(int count, char** texts) {
  return lockstep::cuda::run(lockstep::cuda::worldsOf(count, texts));
}
