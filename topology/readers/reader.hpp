// Files that describe a machine, and the table of those who read them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

/// Something odd that did not stop the reading: it was left out, or taken for what is said.
struct Remark {
  int line = 0;  ///< from 1; 0: of the whole
  std::string text;
};

struct Reading {
  Inventory inventory;
  std::vector<Remark> remarks;  ///< at most kMostRemarks; the last then says how many more
};

inline constexpr std::size_t kMostRemarks = 100;
/// Of a file. The largest dump known to NCCL has 256 nodes: this is a thousand times that.
inline constexpr std::size_t kMostFileBytes = 16U << 20;

/// One format. A file readers/NAME.cpp defines kReadersName, and is in the table by being there.
struct Reader {
  std::string_view name;  ///< "NCCL topology XML"
  /// Whether `text` is of this format, well formed or not: looks at no more than it needs.
  bool (*recognises)(std::string_view text);
  /// Throws Error(invalidArgument) "SOURCE:LINE: what is wrong and what was expected".
  Reading (*read)(std::string_view text, const std::string& source);
};

/// As the build lists them; at most one recognises a text.
std::span<const Reader* const> allReaders();

/// By the first reader that recognises it. Throws Error(invalidArgument), also where none does.
Reading readTopology(std::string_view text, const std::string& source);
/// Throws Error(system) where the file cannot be read, Error(invalidArgument) where it is larger
/// than kMostFileBytes, and what readTopology throws. Never blocks on what is not a plain file.
Reading readTopologyFile(const std::string& path);

}  // namespace lockstep::topology
