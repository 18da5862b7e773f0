// Any bytes as the output of `nvidia-smi topo -m`: a machine that can be drawn, or an Error that
// names the source and a line.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include "topology/graph/graph.hpp"
#include "topology/readers/reader.hpp"
#include "topology/readers/smi/matrix_tree.hpp"
#include "topology/writers/dot.hpp"
#include "topology/writers/json.hpp"
#include "topology/writers/matrix.hpp"
#include "topology/writers/svg.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

inline void smiMatrix(std::string_view text) {
  const auto require = [](bool law) {
    if (!law) std::abort();
  };
  try {
    using namespace topology;
    const std::string source = "fuzz";
    xml::Report report(text, source);
    const smi::Matrix matrix = smi::parseMatrix(text, report);
    require(matrix.devices.size() <= smi::kMostColumns);
    Inventory inventory = smi::inventoryOf(matrix, report);
    require(report.take().size() <= kMostRemarks);
    requireSound(inventory);
    if (matrix.devices.size() > 64) return;  // pictures of them take long
    const Graph graph(std::move(inventory));
    require(graph.ofKind(NodeKind::gpu).size() + graph.ofKind(NodeKind::nic).size() ==
            matrix.devices.size());
    require(!writeJson(graph).empty() && !writeDot(graph).empty() && !writeSvg(graph).empty());
    require(!writeMatrix(graph).empty());
  } catch (const Error& error) {
    require(error.code() == ErrorCode::invalidArgument);
    require(std::string_view(error.what()).find("fuzz:") != std::string_view::npos);
  }
}

}  // namespace lockstep::fuzz
