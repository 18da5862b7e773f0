// Any bytes as a machine, all the way: read, merged, made a graph, diagnosed, searched, and written
// in every form.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/printable.hpp"
#include "topology/graph/graph.hpp"
#include "topology/inventory/merge.hpp"
#include "topology/presets/preset.hpp"
#include "topology/readers/reader.hpp"
#include "topology/rules/rule.hpp"
#include "topology/search/rings.hpp"
#include "topology/search/trees.hpp"
#include "topology/writers/dot.hpp"
#include "topology/writers/json.hpp"
#include "topology/writers/matrix.hpp"
#include "topology/writers/nccl_xml.hpp"
#include "topology/writers/svg.hpp"
#include "topology/writers/tree.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

inline void require(bool law) {
  if (!law) std::abort();
}

/// Whatever a source says, terminals show it and obey nothing.
inline void requireSafe(const std::string& text) {
  require(printableLines(text) == text);
}

/// The text, or nothing where the machine is too large for this form: then it is said.
template <class Write, class Machine>
std::string written(Write write, const Machine& machine) {
  try {
    return write(machine);
  } catch (const Error& error) {
    require(error.code() == ErrorCode::invalidArgument);
    return {};
  }
}

/// All pairs and triples of GPUs are looked at: a few show all there is to go wrong.
inline constexpr std::size_t kMostFuzzedGpus = 12;

inline void search(const topology::Graph& graph) {
  if (graph.ofKind(topology::NodeKind::gpu).size() > kMostFuzzedGpus) return;
  for (const bool withNics : {false, true}) {
    const topology::SearchOptions options{.withNics = withNics, .budget = 20'000};
    const topology::Rings rings = findRings(graph, options);
    require(rings.rings.empty() != rings.reason.empty());
    require(!(rings.efficiency() > 1.000001));  // nor is it NaN
    const topology::Trees trees = findTrees(graph, rings);
    require(trees.trees.empty() != trees.reason.empty());
    requireSafe(print(graph, rings) + print(graph, trees));
  }
}

inline void show(const topology::Graph& graph) {
  for (const topology::Node& node : graph.nodes()) requireSafe(node.name);
  requireSafe(writeTree(graph));
  requireSafe(writeMatrix(graph));
  requireSafe(writeDot(graph));
  require(writeJson(graph).find('\x1b') == std::string::npos);
  requireSafe(written(topology::writeSvg, graph));
  diagnose(graph);
}

/// False where there is too much for a graph.
inline bool understood(const topology::Inventory& machine) try {
  requireSound(machine);
  const topology::Graph graph(machine);
  show(graph);
  search(graph);
  return true;
} catch (const Error& error) {
  require(error.code() == ErrorCode::invalidArgument);
  return false;
}

/// What is told twice is there once.
inline void mergeWithItself(const topology::Inventory& machine) {
  const topology::Inventory twice = merge(machine, machine);
  requireSound(twice);
  require(twice.cpus.size() == machine.cpus.size() && twice.pci.size() == machine.pci.size() &&
          twice.gpus.size() == machine.gpus.size());
}

inline void mergeWith(const topology::Inventory& machine, const topology::Inventory& other) {
  for (const topology::Inventory& both : {merge(machine, other), merge(other, machine)}) {
    requireSound(both);
    written(topology::writeNcclXml, both);
    written([](const topology::Inventory& each) { return writeTree(topology::Graph(each)); }, both);
  }
}

/// True where it was read and understood.
inline bool topologyText(std::string_view text) {
  static const topology::Inventory preset = topology::findPreset("dgx-h100").make();
  topology::Reading reading;
  try {
    reading = topology::readTopology(text, "fuzz");
  } catch (const Error& error) {
    require(error.code() == ErrorCode::invalidArgument);
    require(std::string_view(error.what()).starts_with("fuzz:"));
    return false;
  }
  require(reading.remarks.size() <= topology::kMostRemarks);
  if (!understood(reading.inventory)) return false;
  written(topology::writeNcclXml, reading.inventory);
  mergeWithItself(reading.inventory);
  mergeWith(reading.inventory, preset);
  return true;
}

}  // namespace lockstep::fuzz
