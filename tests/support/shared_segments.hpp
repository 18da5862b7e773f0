// The segments of communicators in this process's address space: what an attacker starts from.
#pragma once

#include <cstddef>
#include <vector>

namespace lockstep::testing {

struct Segments {
  std::vector<std::byte*> writable, readable;  ///< a rank's own, and those of its peers
  /// Those that are mapped now, and not in `before`; in the order of their addresses. Ranks that
  /// are threads share one writable mapping of each.
  static Segments mapped(const Segments& before = {});
};

}  // namespace lockstep::testing
