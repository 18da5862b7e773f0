// The kernels of a communicator: generated, compiled and loaded before the first call.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "base/cuda/context.hpp"
#include "base/cuda/module.hpp"
#include "executor/cuda/compile_all.hpp"
#include "executor/cuda/generate.hpp"

namespace lockstep::gpu {

struct LoadedKernel {
  cuda::Kernel kernel;
  cuda::Protocol protocol = cuda::Protocol::simple;
  cuda::Function function;
};

class Kernels {
 public:
  Kernels(cuda::PrimaryContext context, cuda::Chip chip, cuda::Cache cache)
      : context_(std::move(context)), chip_(chip), cache_(std::move(cache)) {}

  /// Generates, compiles (in parallel, or finds on disk) and loads those that are not there yet;
  /// and `others`, which come from no schedule.
  void prepare(std::span<const cuda::KernelRequest> requests,
               std::vector<cuda::Kernel> others = {});
  bool has(const cuda::KernelRequest& request) const;
  bool has(const cuda::Kernel& kernel) const { return byName_.contains(kernel.name); }
  /// One that may have to be prepared first.
  const LoadedKernel& get(const cuda::KernelRequest& request);
  /// One that comes from no schedule, and may have to be prepared first.
  const LoadedKernel& get(cuda::Kernel kernel);
  /// What is compiled stays on disk, for other ranks too.
  bool kept() const { return cache_.whyNot().empty(); }
  /// Seconds spent in prepare, kernels from disk and from the compiler.
  std::string describe() const;

 private:
  using Key = std::tuple<const schedule::Algorithm*, DataType, Reduction, Mode, int, bool,
                         cuda::Protocol, int, bool, bool>;
  static Key keyOf(const cuda::KernelRequest& request);
  bool isNew(const cuda::Kernel& kernel, cuda::Protocol protocol);
  void load(std::vector<cuda::Kernel> kernels);

  cuda::PrimaryContext context_;
  cuda::Chip chip_;
  cuda::Cache cache_;
  std::map<Key, const LoadedKernel*> byRequest_;
  std::map<std::string, std::unique_ptr<LoadedKernel>> byName_;
  int hits_ = 0, misses_ = 0;
  double seconds_ = 0;
};

}  // namespace lockstep::gpu
