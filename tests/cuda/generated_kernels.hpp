// Kernels of the generator, for those who compile many of them.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "collectives/registry.hpp"
#include "cuda/kernels.hpp"
#include "executor/cuda/generate.hpp"
#include "executor/cuda/kernel.hpp"
#include "executor/cuda/transfer.hpp"

namespace lockstep::cuda {

/// What they may take: all registers that a thread can have and no spills. Sealing and opening are
/// functions of their own, which have frames.
inline constexpr Limits kCeiling{.registers = 255, .spillBytes = 0, .stackBytes = 128};

inline constexpr DataType kEveryType[]{
    DataType::f32, DataType::bf16, DataType::f16, DataType::f64, DataType::f8e4m3, DataType::f8e5m2,
    DataType::i8,  DataType::u8,   DataType::i32, DataType::u32, DataType::i64,    DataType::u64};
inline constexpr Reduction kEveryReduction[]{Reduction::sum, Reduction::max, Reduction::prod,
                                             Reduction::min};
struct Way {
  Mode mode;
  Protocol protocol;
};
inline constexpr Way kEveryWay[]{
    {Mode::p2p, Protocol::simple}, {Mode::multicast, Protocol::ll},
    {Mode::cc, Protocol::simple},  {Mode::multicast, Protocol::simple},
    {Mode::p2p, Protocol::ll},     {Mode::ccMulticast, Protocol::simple}};

/// Exposed memory has no protocol, and nothing sealed is exposed.
inline bool isPossible(const schedule::Algorithm& algorithm, const Way& way) {
  return algorithm.edges != schedule::Edges::exposure ||
         (way.protocol == Protocol::simple && !isSealed(way.mode));
}

inline KernelRequest requestOf(const schedule::Algorithm& algorithm, const Way& way, int world) {
  KernelRequest request;
  request.algorithm = &algorithm;
  request.mode = way.mode;
  request.worldSize = world;
  request.protocol = way.protocol;
  return request;
}

/// Collects texts, each name once: what reduces nothing is the same for all types.
class KernelSources {
 public:
  void add(const KernelRequest& request) { add(generateKernel(request)); }
  void add(Kernel kernel) {
    all_.try_emplace(kernel.name,
                     KernelSource{kernel.name, std::move(kernel.text), kernelDefines()});
  }
  std::vector<KernelSource> take() {
    std::vector<KernelSource> sources;
    for (auto& [name, source] : all_) sources.push_back(std::move(source));
    return sources;
  }

 private:
  std::map<std::string, KernelSource> all_;
};

/// Each algorithm once, and so each way, type and reduction, which take turns; in a world of three,
/// the smallest in which a rank has a first, a middle and a last. And sends and receives.
inline std::vector<KernelSource> coveringKernels() {
  KernelSources sources;
  std::size_t way = 0, reducing = 0;
  for (const schedule::Algorithm* algorithm : schedule::algorithms()) {
    while (!isPossible(*algorithm, kEveryWay[way])) way = (way + 1) % std::size(kEveryWay);
    KernelRequest request = requestOf(*algorithm, kEveryWay[way], 3);
    way = (way + 1) % std::size(kEveryWay);
    request.type = kEveryType[reducing % std::size(kEveryType)];
    request.reduction = kEveryReduction[reducing % std::size(kEveryReduction)];
    reducing += contractOf(algorithm->collective).reduces ? 1 : 0;
    sources.add(request);
  }
  for (const bool sealed : {false, true}) sources.add(transferKernel(sealed));
  return sources.take();
}

/// All of everything in a world.
inline void addEveryKernel(KernelSources& sources, const schedule::Algorithm& algorithm,
                           int world) {
  for (const Way& way : kEveryWay)
    for (const bool inPlace : {false, true})
      for (const DataType type : kEveryType)
        for (const Reduction reduction : kEveryReduction) {
          if (!isPossible(algorithm, way)) continue;
          KernelRequest request = requestOf(algorithm, way, world);
          request.inPlace = inPlace;
          request.type = type;
          request.reduction = reduction;
          sources.add(request);
        }
}
inline std::vector<KernelSource> everyKernel(const std::vector<int>& worlds) {
  KernelSources sources;
  for (const int world : worlds)
    for (const schedule::Algorithm* algorithm : schedule::algorithms())
      addEveryKernel(sources, *algorithm, world);
  return sources.take();
}

}  // namespace lockstep::cuda
