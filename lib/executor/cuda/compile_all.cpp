#include "executor/cuda/compile_all.hpp"

#include <atomic>
#include <chrono>
#include <optional>

#include "executor/cuda/compiler.hpp"
#include "executor/cuda/in_parallel.hpp"

namespace lockstep::cuda {

CompiledKernels compileAll(std::span<const KernelSource> sources, Chip chip,
                           const CompileOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const Cache none = Cache::none("no cache was asked for");
  const Cache& cache = options.cache == nullptr ? none : *options.cache;
  CompiledKernels all;
  all.note = targetFor(chip).note;
  all.notCached = cache.whyNot();
  all.cubins.resize(sources.size());
  std::atomic<int> hits = 0;
  inParallel(sources.size(), options.threads, [&](std::size_t i) {
    const cc::Digest key = cacheKey(sources[i], chip, options.driverVersion);
    if (auto kept = cache.find(key)) {
      all.cubins[i] = *std::move(kept);
      ++hits;
      return;
    }
    all.cubins[i] = compile(sources[i], chip);
    cache.keep(key, all.cubins[i]);
  });
  all.hits = hits;
  all.misses = static_cast<int>(sources.size()) - hits;
  if (all.misses > 0) cache.trim();
  all.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return all;
}

}  // namespace lockstep::cuda
