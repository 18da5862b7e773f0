#include "communicator/device/kernels.hpp"

#include <string_view>

#include <fmt/format.h>

#include "base/fail.hpp"

namespace lockstep::gpu {
namespace {

using cuda::Kernel;
using cuda::KernelRequest;

/// What a kernel does not depend on has one value, so that calls share kernels.
KernelRequest settled(KernelRequest request) {
  const Contract& contract = contractOf(request.algorithm->collective);
  if (!contract.reduces) {
    request.type = DataType::u8;
    request.reduction = Reduction::sum;
    request.oneNan = false;
  }
  if (request.reduction == Reduction::avg) request.reduction = Reduction::sum;
  if (request.reduction == Reduction::preMulSum) request.inPlace = false;
  if (!contract.rooted || request.worldSize <= cuda::kMaxRoots) request.root = 0;
  return request;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// Mostly the same text runs in place and out of place: then there is one kernel.
Kernel generate(const KernelRequest& request) {
  Kernel kernel = cuda::generateKernel(request);
  if (!request.inPlace) return kernel;
  KernelRequest apart = request;
  apart.inPlace = false;
  Kernel other = cuda::generateKernel(apart);
  return replaced(kernel.text, kernel.name, other.name) == other.text ? other : kernel;
}

}  // namespace

Kernels::Key Kernels::keyOf(const KernelRequest& r) {
  return {r.algorithm, r.type,     r.reduction, r.mode,    r.worldSize,
          r.inPlace,   r.protocol, r.root,      r.rmsNorm, r.oneNan};
}

/// Makes a place for what will be loaded.
bool Kernels::isNew(const Kernel& kernel, cuda::Protocol protocol) {
  const auto [at, isNew] = byName_.emplace(kernel.name, nullptr);
  if (!isNew) return false;
  at->second = std::make_unique<LoadedKernel>();
  at->second->protocol = protocol;
  at->second->kernel = kernel;
  return true;
}

void Kernels::prepare(std::span<const KernelRequest> requests, std::vector<Kernel> others) {
  std::vector<Kernel> kernels;
  std::vector<std::pair<Key, std::string>> names;
  for (const KernelRequest& asked : requests) {
    const KernelRequest request = settled(asked);
    const Key key = keyOf(request);
    if (byRequest_.contains(key)) continue;
    Kernel kernel = generate(request);
    names.emplace_back(key, kernel.name);
    if (isNew(kernel, request.protocol)) kernels.push_back(std::move(kernel));
  }
  for (Kernel& kernel : others)
    if (isNew(kernel, cuda::Protocol::simple)) kernels.push_back(std::move(kernel));
  try {
    if (!kernels.empty()) load(std::move(kernels));
  } catch (...) {
    std::erase_if(byName_, [](const auto& entry) { return !entry.second->function; });
    throw;
  }
  for (const auto& [key, name] : names) byRequest_[key] = byName_.at(name).get();
}

void Kernels::load(std::vector<Kernel> kernels) {
  std::vector<cuda::KernelSource> sources;
  for (const Kernel& kernel : kernels) sources.push_back(cuda::sourceOf(kernel));
  const cuda::CompiledKernels compiled = cuda::compileAll(
      sources, chip_, {.threads = 0, .driverVersion = cuda::driver().version, .cache = &cache_});
  hits_ += compiled.hits;
  misses_ += compiled.misses;
  seconds_ += compiled.seconds;
  for (const cuda::Cubin& cubin : compiled.cubins) {
    const std::string image(reinterpret_cast<const char*>(cubin.image.data()), cubin.image.size());
    byName_.at(cubin.name)->function =
        cuda::Function::find(cuda::Module::load(context_, image), cubin.name);
  }
}

bool Kernels::has(const KernelRequest& request) const {
  return byRequest_.contains(keyOf(settled(request)));
}

const LoadedKernel& Kernels::get(const KernelRequest& request) {
  const Key key = keyOf(settled(request));
  auto at = byRequest_.find(key);
  if (at == byRequest_.end()) {
    prepare({&request, 1});
    at = byRequest_.find(key);
  }
  return *at->second;
}

const LoadedKernel& Kernels::get(Kernel kernel) {
  const std::string name = kernel.name;
  prepare({}, {std::move(kernel)});
  return *byName_.at(name);
}

std::string Kernels::describe() const {
  return fmt::format("{} kernels in {:.2f} s ({} from disk, {} compiled{})", byName_.size(),
                     seconds_, hits_, misses_,
                     cache_.whyNot().empty() ? "" : "; none kept, because " + cache_.whyNot());
}

}  // namespace lockstep::gpu
