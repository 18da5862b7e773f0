// One machine of a picture: its boxes, and the links between its GPUs and NVSwitches.
#pragma once

#include <map>

#include "topology/writers/svg/layout.hpp"

namespace lockstep::topology::svg {

/// The picture of a node with what is in it.
void draw(Canvas& canvas, const Graph& graph, const Box& box, int depth = 0);
/// "GPU0 to NVSwitch2: NV5 103.0 GB/s"
std::string titleOf(const Graph& graph, const Pair& pair);

class HostPicture {
 public:
  HostPicture(const Graph& graph, const Boxes& boxes, const std::vector<Pair>& pairs, int host);

  double width() const { return width_; }
  double height() const { return height_; }
  /// Its upper left corner; once.
  void moveTo(double x, double y);
  void draw(Canvas& canvas) const;
  /// Where NVLinks of all GPUs that have NVLinks out of this machine leave their boxes, and those
  /// links.
  struct Exit {
    double x, y;
    const Pair* pair;
  };
  std::vector<Exit> exits() const;
  bool linksLeftOut() const { return linksLeftOut_; }

 private:
  /// From the upper edge of a GPU to another GPU or to an NVSwitch.
  struct Wire {
    const Pair* pair;
    NodeId gpu, other;  // of two GPUs, the left one first
    int span = 0;       // how many GPUs further the other is; 0 for NVSwitches
  };

  void collectGpus(const std::vector<Box>& boxes);
  void addWires(const std::vector<Pair>& pairs);
  void addWire(const Pair& pair);
  double arcHeight(int span) const { return 20 + arcStep_ * span; }
  const Box* boxOf(NodeId id) const;
  std::map<const Wire*, std::pair<double, double>> ports() const;
  void drawWires(Canvas& canvas) const;
  void drawArc(Canvas& canvas, const Wire& wire, double from, double to) const;
  void drawToChip(Canvas& canvas, const Wire& wire, double from, double to) const;
  void drawCpuLinks(Canvas& canvas) const;
  double portSpacing() const;

  const Graph& graph_;
  int host_;
  std::vector<Box> numas_, chips_;
  std::vector<Box> gpus_;  // copies of their boxes, from left to right
  std::map<NodeId, int> positionOfGpu_;
  std::vector<Wire> wires_;
  std::vector<const Pair*> outside_, cpuLinks_;
  double y_ = 0, width_ = 0, height_ = 0;
  double arcStep_ = 17, top_ = 0;  // upper edge of the NUMA nodes
  bool linksLeftOut_ = false;
};

}  // namespace lockstep::topology::svg
