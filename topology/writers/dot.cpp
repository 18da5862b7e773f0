#include "topology/writers/dot.hpp"

#include <fmt/format.h>

#include "base/printable.hpp"
#include "topology/writers/labels.hpp"
#include "topology/writers/palette.hpp"

namespace lockstep::topology {
namespace {

/// Between quotes of DOT. Line breaks are the caller's.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string look(NodeKind kind) {
  const std::string_view shape = kind == NodeKind::network ? "shape=ellipse, " : "";
  return fmt::format(R"({}fillcolor="{}")", shape, coloursOf(kind).fill);
}

class DotWriter {
 public:
  explicit DotWriter(const Graph& graph) : graph_(graph), below_(graph.nodes().size()) {
    for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes().size()); ++id) {
      const NodeId cpu = graph.node(id).cpu;
      if (cpu != kNone) below_[static_cast<std::size_t>(cpu)].push_back(id);
    }
  }

  std::string write() {
    line(0, "digraph topology {");
    line(1, fmt::format(R"(label="{}"; labelloc=t; fontname="Helvetica";)",
                        escaped(graph_.inventory().source)));
    line(1, R"(node [shape=box, style="rounded,filled", fontname="Helvetica"];)");
    line(1, R"(edge [fontname="Helvetica", fontsize=10];)");
    if (graph_.hosts() == 1) cpusOf(0, 1);
    for (int host = 0; graph_.hosts() > 1 && host < graph_.hosts(); ++host) {
      line(1, fmt::format("subgraph cluster_host{} {{", host));
      line(2, fmt::format(R"(label="host{}";)", host));
      cpusOf(host, 2);
      line(1, "}");
    }
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes().size()); ++id)
      if (graph_.node(id).cpu == kNone) node(id, 1);
    for (const Pair& pair : pairsOf(graph_)) edge(pair);
    line(0, "}");
    return std::move(out_);
  }

 private:
  void line(int depth, std::string_view text) {
    out_.append(static_cast<std::size_t>(depth) * 2, ' ').append(text).append("\n");
  }

  void cpusOf(int host, int depth) {
    for (const NodeId cpu : graph_.ofKind(NodeKind::cpu)) {
      if (graph_.node(cpu).host != host) continue;
      line(depth, fmt::format("subgraph cluster_{} {{", cpu));
      line(depth + 1, fmt::format(R"(label="{}";)", escaped(graph_.node(cpu).name)));
      for (const NodeId id : below_[static_cast<std::size_t>(cpu)]) node(id, depth + 1);
      line(depth, "}");
    }
  }

  void node(NodeId id, int depth) {
    const Node& node = graph_.node(id);
    const std::string more = second(node);
    line(depth, fmt::format(R"(n{} [label="{}{}{}", {}];)", id, escaped(node.name),
                            more.empty() ? "" : "\\n", escaped(more), look(node.kind)));
  }

  /// What to say below a name.
  std::string second(const Node& node) const {
    const Inventory& inventory = graph_.inventory();
    if (node.kind == NodeKind::cpu) return inventory.cpus[static_cast<std::size_t>(node.row)].model;
    if (node.kind == NodeKind::gpu) return inventory.pci[static_cast<std::size_t>(node.pci)].name;
    return {};
  }

  void edge(const Pair& pair) {
    if (pair.symmetric()) return edge(pair.a, pair.b, *pair.there, ", dir=none");
    edge(pair.a, pair.b, *pair.there, "");
    if (pair.back != nullptr) edge(pair.b, pair.a, *pair.back, "");
  }

  void edge(NodeId from, NodeId to, const Link& link, std::string_view arrows) {
    line(1, fmt::format(R"(n{} -> n{} [label="{}", color="{}"{}];)", from, to,
                        joined(widthOf(graph_, link), " ", rateOf(link.bandwidth)),
                        colourOf(link.kind), arrows));
  }

  const Graph& graph_;
  std::vector<std::vector<NodeId>> below_;  // by node: what a CPU has, itself included
  std::string out_;
};

}  // namespace

std::string writeDot(const Graph& graph) {
  return DotWriter(graph).write();
}

}  // namespace lockstep::topology
