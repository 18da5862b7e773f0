#include "topology/readers/smi/nearness.hpp"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

namespace lockstep::topology::smi {
namespace {

std::string_view name(Near near) {
  constexpr std::array<std::string_view, 6> kNames{"X",           "PIX", "PXB",
                                                   "PHB or NODE", "SYS", "hidden"};
  return kNames[static_cast<std::size_t>(near)];
}

template <class Visit>
void eachPair(const Matrix& matrix, Visit visit) {
  for (std::size_t a = 0; a < matrix.devices.size(); ++a)
    for (std::size_t b = a + 1; b < matrix.devices.size(); ++b) visit(a, b, matrix.at(a, b).near);
}

/// NUMA nodes are surer than threads, which may be those of a package.
std::string affinityOf(const Device& device) {
  if (!device.nodes.empty()) return "NUMA node " + device.nodes;
  return device.threads.empty() ? std::string() : "threads " + device.threads;
}

/// Devices with the same affinity are on one NUMA node, unless a cell denies it: NVLinks hide what
/// cells would tell.
class ByAffinity {
 public:
  ByAffinity(const Matrix& matrix, Groups& node)
      : matrix_(matrix), node_(node), size_(matrix.devices.size()), apart_(size_ * size_) {
    eachPair(matrix, [&](std::size_t a, std::size_t b, Near near) {
      if (near != Near::sys) return;
      apart_[node.of(a) * size_ + node.of(b)] = true;
      apart_[node.of(b) * size_ + node.of(a)] = true;
    });
  }

  void join(xml::Report& report) {
    std::map<std::string, std::vector<std::size_t>> groups;
    for (std::size_t i = 0; i < size_; ++i) {
      const std::string affinity = affinityOf(matrix_.devices[i]);
      if (affinity.empty()) continue;
      std::vector<std::size_t>& same = groups[affinity];
      const std::size_t group = node_.of(i);
      if (std::find(same.begin(), same.end(), group) == same.end()) same.push_back(group);
    }
    for (const auto& [affinity, same] : groups) {
      if (!denied(same))
        for (const std::size_t group : same) node_.join(same.front(), group);
      else
        report.remark(xml::Report::kWhole,
                      "devices near {} are SYS from each other; each is put on "
                      "a NUMA node of its own",
                      affinity);
    }
  }

 private:
  bool denied(const std::vector<std::size_t>& groups) const {
    return std::any_of(groups.begin(), groups.end(), [&](std::size_t a) {
      return std::any_of(groups.begin(), groups.end(),
                         [&](std::size_t b) { return apart_[a * size_ + b]; });
    });
  }

  const Matrix& matrix_;
  Groups& node_;
  const std::size_t size_;
  std::vector<bool> apart_;  // by two groups
};

void sayContradictions(const Matrix& matrix, const Nearness& nearness, xml::Report& report) {
  eachPair(matrix, [&](std::size_t a, std::size_t b, Near told) {
    const Near taken = nearness.of(a, b);
    if (told == Near::hidden || told == taken) return;
    report.remark(xml::Report::kWhole,
                  "{} to {} is {}, but by what others are near both it is {}; "
                  "taken for that",
                  matrix.devices[a].name, matrix.devices[b].name, name(told), name(taken));
  });
}

}  // namespace

Near Nearness::of(std::size_t a, std::size_t b) const {
  if (pix.together(a, b)) return Near::pix;
  if (pxb.together(a, b)) return Near::pxb;
  return node.together(a, b) ? Near::node : Near::sys;
}

Nearness nearnessOf(const Matrix& matrix, xml::Report& report) {
  const std::size_t size = matrix.devices.size();
  Nearness nearness{Groups(size), Groups(size), Groups(size)};
  eachPair(matrix, [&](std::size_t a, std::size_t b, Near near) {
    if (near <= Near::pix) nearness.pix.join(a, b);
    if (near <= Near::pxb) nearness.pxb.join(a, b);
    if (near <= Near::node) nearness.node.join(a, b);
  });
  ByAffinity(matrix, nearness.node).join(report);
  sayContradictions(matrix, nearness, report);
  return nearness;
}

}  // namespace lockstep::topology::smi
