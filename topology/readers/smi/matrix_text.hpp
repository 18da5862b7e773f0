// The text of `nvidia-smi topo -m` as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "topology/readers/xml/report.hpp"

namespace lockstep::topology::smi {

/// PHB and NODE are both `node`: graphs have no host bridges. `hidden`: by way of NVLinks, which
/// says nothing about PCIe.
enum class Near : std::uint8_t { self, pix, pxb, node, sys, hidden };

struct Cell {
  Near near = Near::hidden;
  int links = 0;  ///< NV#, XGMI#
  bool xgmi = false;
  friend bool operator==(const Cell&, const Cell&) = default;
};

struct Device {
  std::string name;  ///< a GPU's "GPU3", a NIC's own: "mlx5_0"
  bool gpu = false;
  int number = kNone;   ///< 3 of "GPU3" and "NIC3"
  std::string threads;  ///< CPU affinity, "0-23,48-71"; empty where not told
  std::string nodes;    ///< NUMA affinity, "0" or "0-1"; empty where not told
  std::string memory;   ///< the NUMA node that is the GPU's memory; empty where it is none
};

struct Matrix {
  std::vector<Device> devices;
  std::vector<Cell> cells;  ///< row by row, symmetric
  const Cell& at(std::size_t a, std::size_t b) const { return cells[a * devices.size() + b]; }
};

inline constexpr std::size_t kMostColumns = 1024;

/// Whether it has a line that begins with GPU0 and names columns, near its beginning.
bool looksLikeMatrix(std::string_view text);
/// Throws Error(invalidArgument) as `report` does, which is of the same text.
Matrix parseMatrix(std::string_view text, xml::Report& report);

}  // namespace lockstep::topology::smi
