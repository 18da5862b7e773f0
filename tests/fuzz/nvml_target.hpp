// Any bytes as the answers of NVIDIA's driver: rows that are sound, and a graph of them.
#pragma once

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "topology/graph/graph.hpp"
#include "topology/probes/nvml/classify.hpp"

namespace lockstep::fuzz {

namespace nvml = topology::nvml;

/// Answers out of bytes; out of nothing once they are used up.
class NvmlAnswers {
 public:
  explicit NvmlAnswers(std::string_view bytes) : rest_(bytes) {}

  nvml::MachineRecord machine() {
    nvml::MachineRecord machine;
    machine.driver = answer(text());
    machine.count = answer(word());
    machine.settings =
        answer(nvml::CcSettings{.environment = static_cast<nvml::CcEnvironment>(word()),
                                .ccFeature = word(),
                                .multiGpuMode = static_cast<nvml::CcMultiGpu>(word())});
    machine.gpus.resize(byte() % 10);
    for (nvml::GpuRecord& gpu : machine.gpus) fill(gpu);
    return machine;
  }

 private:
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto first = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return first;
  }

  /// Small ones mostly: large ones all mean the same.
  std::uint32_t word() {
    const std::uint32_t low = byte();
    return low < 200 ? low % 20 : low << byte() % 32U;
  }

  /// Bus ids that make sense, and often the same ones; or anything.
  std::string text() {
    constexpr std::array<std::string_view, 7> kTexts{"00000000:01:00.0",
                                                     "00000000:02:00.0",
                                                     "0000:1b:00.0",
                                                     "00000000:00:00.0",
                                                     "fffffff:ff:ff.0",
                                                     "FFFFFFFF:FF:FF.F",
                                                     ""};
    const std::uint8_t which = byte();
    if (which < 250) return std::string(kTexts[which % kTexts.size()]);
    const std::string_view taken = rest_.substr(0, which - 245U);
    rest_.remove_prefix(taken.size());
    return std::string(taken);
  }

  template <class Value>
  nvml::Answer<Value> answer(Value value) {
    const std::uint8_t which = byte();
    if (which < 200) return {nvml::Return::success, value};
    return {static_cast<nvml::Return>(which % 30U), {}};
  }

  template <class Enum>
  nvml::Answer<Enum> code() {
    return answer(static_cast<Enum>(word()));
  }

  void fill(nvml::GpuRecord& gpu) {
    gpu.index = static_cast<int>(word());
    gpu.pci = answer(nvml::PciRecord{text(), word(), word()});
    gpu.capability =
        answer(nvml::ComputeCapability{static_cast<int>(word()), static_cast<int>(word())});
    gpu.generation = answer(word());
    gpu.mostWidth = answer(word());
    gpu.chipToChip = answer(nvml::ChipToChipRecord{word(), word()});
    nvml::FabricRecord fabric;
    fabric.info.state = word();
    gpu.fabric = answer(fabric);
    gpu.links.resize(byte() % (nvml::kMostLinks + 1));
    for (nvml::LinkRecord& link : gpu.links)
      link = {answer(word()), answer(word()), answer(text()), code<nvml::RemoteType>()};
    gpu.peers.resize(byte() % 10);
    for (nvml::PeerRecord& peer : gpu.peers)
      peer = {static_cast<int>(word()), code<nvml::P2pStatus>(), code<nvml::P2pStatus>()};
  }

  std::string_view rest_;
};

inline void nvmlAnswers(std::string_view bytes) {
  const topology::Finding finding = nvml::classify(NvmlAnswers(bytes).machine());
  requireSound(finding.inventory);
  const std::size_t gpus = finding.inventory.gpus.size();
  const topology::Graph graph(finding.inventory);
  if (graph.ofKind(topology::NodeKind::gpu).size() != gpus) std::abort();
}

}  // namespace lockstep::fuzz
