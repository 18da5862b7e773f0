#include "base/shared_ranges.hpp"

#ifdef LOCKSTEP_CHECK_PRIVATE

#include <cstdint>
#include <map>
#include <mutex>
#include <shared_mutex>

namespace lockstep {
namespace {

struct Ranges {
  std::shared_mutex mutex;
  std::map<std::uintptr_t, std::uintptr_t> endOf;  ///< by first byte; they do not overlap
};

/// Never destroyed: mappings of static storage are unmapped late.
Ranges& ranges() {
  static Ranges& all = *new Ranges;
  return all;
}

std::uintptr_t address(const void* data) {
  return reinterpret_cast<std::uintptr_t>(data);
}

}  // namespace

void addSharedRange(const void* data, std::size_t bytes) {
  Ranges& all = ranges();
  const std::unique_lock lock(all.mutex);
  all.endOf[address(data)] = address(data) + bytes;
}

void removeSharedRange(const void* data) noexcept {
  Ranges& all = ranges();
  const std::unique_lock lock(all.mutex);
  all.endOf.erase(address(data));
}

bool isShared(const void* data, std::size_t bytes) {
  if (bytes == 0) return false;
  Ranges& all = ranges();
  const std::shared_lock lock(all.mutex);
  // The last range that begins before these bytes end is the only one that can reach into them.
  auto after = all.endOf.lower_bound(address(data) + bytes);
  return after != all.endOf.begin() && (--after)->second > address(data);
}

}  // namespace lockstep

#else

namespace lockstep {
void addSharedRange(const void*, std::size_t) {}
void removeSharedRange(const void*) noexcept {}
bool isShared(const void*, std::size_t) {
  return false;
}
}  // namespace lockstep

#endif
