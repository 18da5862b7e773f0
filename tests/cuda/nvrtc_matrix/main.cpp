// nvrtc_matrix [OPTION..] [WORLD..]: every kernel in worlds of these sizes (4), for every chip that
// this NVRTC knows and the kernels are for, and a table of what does not compile or takes too much.
// Exit status 0: nothing does; 1: something; 77: no NVRTC. All of it takes days of one core:
// --minutes compiles as many as there is time for, in a random order, and says how to go on.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

#include "cuda/generated_kernels.hpp"
#include "cuda/nvrtc_matrix.hpp"
#include "cuda/real_nvrtc.hpp"

namespace lockstep::cuda {
namespace {

struct Wishes {
  std::vector<int> worlds{4}, chips;
  std::string named;
  std::uint64_t seed = 1;
  std::size_t from = 0;
  double minutes = 0;
  int threads = 0;
};

void addOptions(CLI::App& app, Wishes& wishes) {
  app.add_option("WORLD", wishes.worlds, "Numbers of ranks")
      ->check(CLI::Range(1, schedule::kMaxWorld))
      ->capture_default_str();
  app.add_option("--chips", wishes.chips, "80,90,..: for these only")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--named", wishes.named, "Only kernels whose names contain this");
  app.add_option("--seed", wishes.seed, "Of the order; 0: kernel by kernel")->capture_default_str();
  app.add_option("--from", wishes.from, "Goes on with this number of that order")
      ->capture_default_str();
  app.add_option("--minutes", wishes.minutes, "Begins nothing after so many; 0: compiles all")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--threads", wishes.threads, "That compile at once; 0: one per core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

std::vector<Chip> chipsOf(const Wishes& wishes) {
  std::vector<Chip> chips;
  for (const int number : nvrtc().architectures)
    if (wishes.chips.empty() ? number >= kChips.front().number()
                             : std::ranges::find(wishes.chips, number) != wishes.chips.end())
      chips.push_back({number / 10, number % 10});
  return chips;
}

int run(const Wishes& wishes) {
  if (const std::string why = noRealNvrtc(); !why.empty()) {
    std::puts(why.c_str());
    return 77;
  }
  Slice slice{.seed = wishes.seed, .first = wishes.from, .until = {}, .threads = wishes.threads};
  std::vector<KernelSource> kernels = everyKernel(wishes.worlds);
  std::erase_if(kernels, [&](const KernelSource& kernel) {
    return kernel.name.find(wishes.named) == std::string::npos;
  });
  const std::vector<Chip> chips = chipsOf(wishes);
  fmt::print("{} kernels for {} chips\n", kernels.size(), chips.size());
  std::fflush(stdout);
  if (wishes.minutes > 0)
    slice.until = Deadline::in(std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double, std::ratio<60>>(wishes.minutes)));
  const MatrixReport report = nvrtcMatrix(kernels, chips, kCeiling, slice);
  fmt::print("{}", report.text());
  if (report.next < report.cells)
    fmt::print("{} of {} are left: go on with --seed {} --from {} {}\n", report.cells - report.next,
               report.cells, wishes.seed, report.next, fmt::join(wishes.worlds, " "));
  return report.faults.empty() ? 0 : 1;
}

}  // namespace
}  // namespace lockstep::cuda

int main(int count, char** texts) {
  CLI::App app("nvrtc_matrix: compiles every kernel for every chip", "nvrtc_matrix");
  lockstep::cuda::Wishes wishes;
  lockstep::cuda::addOptions(app, wishes);
  CLI11_PARSE(app, count, texts);
  return lockstep::cuda::run(wishes);
}
