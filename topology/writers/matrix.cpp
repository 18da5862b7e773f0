#include "topology/writers/matrix.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "topology/graph/path.hpp"
#include "topology/writers/affinity.hpp"

namespace lockstep::topology {
namespace {

constexpr std::size_t kMostDevices = 512;

using Row = std::vector<std::string>;

struct Meaning {
  PathType type;
  std::string_view cell, text;
};

constexpr Meaning kMeanings[] = {
    {PathType::loc, "X", "itself"},
    {PathType::nvl, "", ""},  // by kind of link, below
    {PathType::nvb, "NVB", "NVLinks by way of one other GPU"},
    {PathType::c2c, "C2C", "the chip-to-chip link of one package"},
    {PathType::pix, "PIX", "at most one PCIe switch"},
    {PathType::pxb, "PXB", "several PCIe switches, but no CPU"},
    {PathType::p2c, "P2C", "a chip-to-chip link to the CPU, then PCIe"},
    {PathType::phb, "PHB", "PCIe and the CPU of both (NODE too, in nvidia-smi's words)"},
    {PathType::sys, "SYS", "from one NUMA node to another"},
    {PathType::net, "NET", "the network"},
    {PathType::dis, "DIS", "no way at all"},
};

class Matrix {
 public:
  explicit Matrix(const Graph& graph) : graph_(graph), devices_(graph.ofKind(NodeKind::gpu)) {
    gpus_ = devices_.size();
    const std::vector<NodeId>& nics = graph.ofKind(NodeKind::nic);
    devices_.insert(devices_.end(), nics.begin(), nics.end());
  }

  std::string text() {
    if (devices_.empty()) return {};
    if (devices_.size() > kMostDevices)
      return fmt::format("{} GPUs and NICs: too many for a matrix (at most {}).\n", devices_.size(),
                         kMostDevices);
    std::vector<Row> rows{heading()};
    for (std::size_t i = 0; i < devices_.size(); ++i) rows.push_back(row(i));
    return aligned(rows) + legend() + nicLegend();
  }

 private:
  /// NICs' own names are long: they are numbered, and named below (by address, if they have none).
  std::string label(std::size_t i) const {
    return i < gpus_ ? graph_.node(devices_[i]).name : fmt::format("NIC{}", i - gpus_);
  }

  Row heading() const {
    Row cells{""};
    for (std::size_t i = 0; i < devices_.size(); ++i) cells.push_back(label(i));
    if (gpus_ > 0) cells.insert(cells.end(), {"CPU Affinity", "NUMA Affinity"});
    return cells;
  }

  Row row(std::size_t i) {
    Row cells{label(i)};
    for (const NodeId to : devices_) cells.push_back(cell(devices_[i], to));
    if (i >= gpus_) return cells;
    const NodeId cpu = graph_.node(devices_[i]).cpu;
    const Cpu* row = cpu == kNone
                         ? nullptr
                         : &graph_.inventory().cpus[static_cast<std::size_t>(graph_.node(cpu).row)];
    cells.push_back(row == nullptr ? "N/A" : threadList(row->affinity));
    cells.push_back(row == nullptr || row->numa < 0 ? "N/A" : std::to_string(row->numa));
    return cells;
  }

  std::string cell(NodeId from, NodeId to) {
    const Path path = findPath(graph_, from, to);
    seen_.insert(path.type);
    if (path.type != PathType::nvl) return std::string(kMeanings[indexOf(path.type)].cell);
    const bool xgmi = path.first == LinkKind::xgmi;
    (xgmi ? xgmi_ : nvlink_) = true;
    return fmt::format("{}{}", xgmi ? "XGMI" : "NV", path.links);
  }

  static std::size_t indexOf(PathType type) {
    const auto* const found = std::find_if(std::begin(kMeanings), std::end(kMeanings),
                                           [&](const Meaning& m) { return m.type == type; });
    return static_cast<std::size_t>(found - std::begin(kMeanings));
  }

  static std::string aligned(const std::vector<Row>& rows) {
    std::vector<std::size_t> widths;
    for (const Row& row : rows) {
      widths.resize(std::max(widths.size(), row.size()));
      for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
    }
    std::string text;
    for (const Row& row : rows) {
      std::string line;
      for (std::size_t c = 0; c < row.size(); ++c)
        line += fmt::format("{:<{}}  ", row[c], widths[c]);
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + '\n';
    }
    return text;
  }

  /// Of what is in the table.
  std::string legend() const {
    std::string text = "\nLegend:\n";
    for (const Meaning& meaning : kMeanings) {
      if (meaning.type == PathType::nvl) {
        if (nvlink_) text += "  NV#   # NVLinks side by side, direct or by NVSwitches\n";
        if (xgmi_) text += "  XGMI# # xGMI links side by side\n";
      } else if (seen_.contains(meaning.type)) {
        text += fmt::format("  {:<5} {}\n", meaning.cell, meaning.text);
      }
    }
    return text;
  }

  std::string nicLegend() const {
    if (devices_.size() == gpus_) return {};
    std::string text = "\nNIC Legend:\n";
    for (std::size_t i = gpus_; i < devices_.size(); ++i) {
      const Node& nic = graph_.node(devices_[i]);
      text += fmt::format("  {}: {}\n", label(i), nic.bare ? print(nic.bus) : nic.name);
    }
    return text;
  }

  const Graph& graph_;
  std::vector<NodeId> devices_;
  std::size_t gpus_ = 0;
  std::set<PathType> seen_;
  bool nvlink_ = false, xgmi_ = false;
};

}  // namespace

std::string writeMatrix(const Graph& graph) {
  return Matrix(graph).text();
}

}  // namespace lockstep::topology
