// Kernels of the generator, for those who compile many of them.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "collectives/registry.hpp"
#include "cuda/kernels.hpp"
#include "executor/cuda/generate.hpp"
#include "executor/cuda/kernel.hpp"
#include "executor/cuda/transfer.hpp"
#include "support/reference.hpp"

namespace lockstep::cuda {

/// What they may take: all registers that a thread can have and no spills. Sealing and opening are
/// functions of their own, which have frames.
inline constexpr Limits kCeiling{.registers = 255, .spillBytes = 0, .stackBytes = 128};

inline constexpr DataType kEveryType[]{
    DataType::f32, DataType::bf16, DataType::f16, DataType::f64, DataType::f8e4m3, DataType::f8e5m2,
    DataType::i8,  DataType::u8,   DataType::i32, DataType::u32, DataType::i64,    DataType::u64};
inline constexpr Reduction kEveryReduction[]{Reduction::sum, Reduction::max, Reduction::prod,
                                             Reduction::min, Reduction::preMulSum};
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

/// Products are nowhere that others could read them in place.
inline bool isPossible(const schedule::Algorithm& algorithm, Reduction reduction) {
  return algorithm.edges != schedule::Edges::exposure || reduction != Reduction::preMulSum;
}

inline KernelRequest requestOf(const schedule::Algorithm& algorithm, const Way& way, int world) {
  KernelRequest request;
  request.algorithm = &algorithm;
  request.mode = way.mode;
  request.worldSize = world;
  request.protocol = way.protocol;
  return request;
}

/// Collects texts, each once: what reduces nothing is the same for all types, and often the same in
/// place.
class KernelSources {
 public:
  void add(const KernelRequest& request) { add(generateKernel(request)); }
  void add(const Kernel& kernel) { all_.try_emplace(withoutName(kernel), sourceOf(kernel)); }
  std::vector<KernelSource> take() {
    std::vector<KernelSource> sources;
    for (auto& [text, source] : all_) sources.push_back(std::move(source));
    std::ranges::sort(sources, {}, &KernelSource::name);
    return sources;
  }

 private:
  static std::string withoutName(const Kernel& kernel) {
    std::string text = kernel.text;
    for (std::size_t at; (at = text.find(kernel.name)) != std::string::npos;)
      text.erase(at, kernel.name.size());
    return text;
  }
  std::map<std::string, KernelSource> all_;  ///< by text
};

/// Those that come from no schedule: transfers, and the keys of sealed worlds.
inline void addFixed(KernelSources& sources) {
  for (const bool sealed : {false, true}) sources.add(transferKernel(sealed));
  sources.add(keysKernel());
}

/// An all-reduce that goes on with RMSNorm, for each type that it takes.
inline void addNormalised(KernelSources& sources, KernelRequest request) {
  if (request.algorithm->collective != Collective::allReduce) return;
  request.rmsNorm = true;
  request.reduction = Reduction::sum;
  for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16})
    for (const bool oneNan : {false, true}) {
      request.type = type;
      request.oneNan = oneNan;
      sources.add(request);
    }
}

/// Of the ways that are possible the one that was taken least.
inline const Way& rarestWay(const schedule::Algorithm& algorithm, std::vector<int>& taken) {
  std::size_t rarest = std::size(kEveryWay);
  for (std::size_t i = 0; i < std::size(kEveryWay); ++i)
    if (isPossible(algorithm, kEveryWay[i]) &&
        (rarest == std::size(kEveryWay) || taken[i] < taken[rarest]))
      rarest = i;
  ++taken[rarest];
  return kEveryWay[rarest];
}

/// Each algorithm once, and so each way, type and reduction, which take turns; in a world of three,
/// the smallest in which a rank has a first, a middle and a last. RMSNorm after some, and what
/// comes from no schedule.
inline std::vector<KernelSource> coveringKernels() {
  KernelSources sources;
  std::vector<int> taken(std::size(kEveryWay));
  std::size_t reducing = 0;
  for (const schedule::Algorithm* algorithm : schedule::algorithms()) {
    KernelRequest request = requestOf(*algorithm, rarestWay(*algorithm, taken), 3);
    request.type = kEveryType[reducing % std::size(kEveryType)];
    request.reduction = kEveryReduction[reducing % std::size(kEveryReduction)];
    if (!isPossible(*algorithm, request.reduction)) request.reduction = Reduction::sum;
    request.oneNan = testing::isFloat(request.type) && reducing % 2 != 0;
    reducing += contractOf(algorithm->collective).reduces ? 1 : 0;
    sources.add(request);
  }
  const schedule::Algorithm* const twoShot =
      schedule::findAlgorithm(Collective::allReduce, "two_shot", schedule::Edges::channels);
  for (const auto& [way, type] :
       {std::pair(kEveryWay[0], DataType::f32), std::pair(kEveryWay[1], DataType::f16),
        std::pair(kEveryWay[2], DataType::bf16)}) {
    KernelRequest request = requestOf(*twoShot, way, 3);
    request.rmsNorm = true;
    request.type = type;
    sources.add(request);
  }
  addFixed(sources);
  return sources.take();
}

/// All that a communicator of `world` ranks can ask for with this algorithm.
inline void addEveryKernel(KernelSources& sources, const schedule::Algorithm& algorithm,
                           int world) {
  const bool reduces = contractOf(algorithm.collective).reduces;
  for (const Way& way : kEveryWay) {
    if (!isPossible(algorithm, way)) continue;
    KernelRequest request = requestOf(algorithm, way, world);
    for (const bool inPlace : {false, true}) {
      request.inPlace = inPlace;
      if (!reduces) {
        sources.add(request);
        continue;
      }
      for (const DataType type : kEveryType)
        for (const Reduction reduction : kEveryReduction)
          for (const bool oneNan : {false, true}) {
            if (oneNan && !testing::isFloat(type)) continue;  // the same code
            if (!isPossible(algorithm, reduction)) continue;
            request.type = type;
            request.reduction = reduction;
            request.oneNan = oneNan;
            sources.add(request);
          }
      addNormalised(sources, request);
    }
  }
}
inline std::vector<KernelSource> everyKernel(const std::vector<int>& worlds) {
  KernelSources sources;
  for (const int world : worlds)
    for (const schedule::Algorithm* algorithm : schedule::algorithms())
      addEveryKernel(sources, *algorithm, world);
  addFixed(sources);
  return sources.take();
}

}  // namespace lockstep::cuda
