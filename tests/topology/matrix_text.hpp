// Paths between all devices as text, to compare with tables written in tests.
#pragma once

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "topology/graph/path.hpp"

namespace lockstep::topology {

/// "NV18", "XG1" (xGMI), "NVB2", or the type's name; "X" for a device itself.
inline std::string cellText(const Path& path) {
  switch (path.type) {
    case PathType::loc:
      return "X";
    case PathType::nvl:
      return fmt::format("{}{}", path.first == LinkKind::xgmi ? "XG" : "NV", path.links);
    case PathType::nvb:
      return fmt::format("NVB{}", path.links);
    default:
      return std::string(name(path.type));
  }
}

/// A line for each row: its name, then a cell for each column, one space between them.
inline std::string tableText(const Graph& graph, const std::vector<NodeId>& rows,
                             const std::vector<NodeId>& columns, Routing routing = {}) {
  std::string text;
  for (const NodeId row : rows) {
    text += graph.node(row).name;
    for (const NodeId column : columns)
      text += ' ' + cellText(findPath(graph, row, column, routing));
    text += '\n';
  }
  return text;
}

/// GPUs by GPUs, GPUs by NICs, and NICs by NICs; each in the order of its rows.
inline std::string matrixText(const Graph& graph, Routing routing = {}) {
  const std::vector<NodeId>& gpus = graph.ofKind(NodeKind::gpu);
  const std::vector<NodeId>& nics = graph.ofKind(NodeKind::nic);
  std::string text = tableText(graph, gpus, gpus, routing);
  if (nics.empty()) return text;
  text += '\n' + tableText(graph, gpus, nics, routing);
  return text + '\n' + tableText(graph, nics, nics, routing);
}

/// What a test has lined up for its reader, as tableText writes it: one space between cells, blank
/// lines between tables only.
inline std::string table(std::string_view drawn) {
  std::istringstream lines{std::string(drawn)};
  std::string text, line;
  bool blank = false;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string word, joined;
    while (words >> word) joined += (joined.empty() ? "" : " ") + word;
    if (!joined.empty()) text += (blank && !text.empty() ? "\n" : "") + joined + "\n";
    blank = joined.empty();
  }
  return text;
}

}  // namespace lockstep::topology
