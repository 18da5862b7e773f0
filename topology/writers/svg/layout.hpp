// Where the parts of a picture go: boxes within boxes.
#pragma once

#include <string>
#include <vector>

#include "topology/graph/graph.hpp"
#include "topology/writers/labels.hpp"
#include "topology/writers/svg/canvas.hpp"

namespace lockstep::topology::svg {

inline constexpr Font kNameFont{.size = 12, .bold = true};
inline constexpr Font kSmallFont{.size = 9.5, .fill = "#444444"};
inline constexpr double kGap = 8;

/// Of a node. What has children shows its lines below them, so that NVLinks come to GPUs from above
/// without crossing text.
struct Box {
  NodeId node = kNone;  ///< kNone: of devices that no source places
  double x = 0, y = 0, width = 0, height = 0;
  bool hasGpu = false;
  NodeId first = kNone;            ///< of the devices in it, GPUs before NICs
  std::vector<std::string> lines;  ///< the first is its name
  std::vector<Box> children;

  double middle() const { return x + width / 2; }
  double bottom() const { return y + height; }
  void move(double right, double down);
};

/// Items in rows from left to right, none wider than `limit` but for single items; rows are
/// centred. Their extent is in `width` and `height`.
struct Flow {
  double width = 0, height = 0;
};
Flow flow(std::vector<Box>& items, double limit, double gap = kGap);

/// What stands in the boxes, and how large they are.
class Boxes {
 public:
  explicit Boxes(const Graph& graph);
  /// Of the NUMA nodes of a machine, in their order, each at 0, 0.
  std::vector<Box> numaNodes(int host) const;
  /// Of NVSwitches, beside each other over `width`.
  std::vector<Box> chips(const std::vector<NodeId>& nodes, double width) const;
  /// Without the host's name, which stands beside it.
  std::string shortName(NodeId id) const;

 private:
  Box boxOf(NodeId id) const;
  Box leaf(NodeId id) const;
  Box numaBox(NodeId cpu, std::vector<Box> children) const;
  std::vector<Box> childrenOf(NodeId id) const;
  void arrange(Box& box, double pad, double labelHeight) const;
  std::vector<std::string> gpuLines(NodeId id) const;
  std::vector<std::string> linesOf(NodeId id) const;
  std::string pcieWidth(NodeId id) const;
  void addFitting(std::vector<std::string>& lines, std::string first, std::string second) const;

  const Graph& graph_;
  double leafWidth_ = 0;
  std::size_t gpuLines_ = 0;
  std::vector<std::vector<NodeId>> children_;  // by node; the last has those that nobody places
};

}  // namespace lockstep::topology::svg
