#include "cuda/fake_driver/protection.hpp"

#include <map>
#include <mutex>

#include <sys/mman.h>

#include "cuda/fake_driver/refusal.hpp"

namespace lockstep::cuda::fake {
namespace {

struct Keys {
  std::mutex mutex;
  std::map<DeviceSet, int> ofSet;
};

Keys& keys() {
  static auto* const all = new Keys;
  return *all;
}

/// -1: there is none left.
int keyOf(DeviceSet devices) {
  const std::lock_guard lock(keys().mutex);
  const auto [entry, isNew] = keys().ofSet.try_emplace(devices, -1);
  if (isNew) entry->second = ::pkey_alloc(0, PKEY_DISABLE_ACCESS);
  return entry->second;
}

}  // namespace

void protect(void* at, std::size_t bytes, DeviceSet devices, bool writable) {
  const int access = devices == 0 ? PROT_NONE : writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const int key = devices == 0 ? -1 : keyOf(devices);
  const int failed =
      key < 0 ? ::mprotect(at, bytes, access) : ::pkey_mprotect(at, bytes, access, key);
  require(failed == 0, Result::operatingSystem);
}

DeviceAccess::DeviceAccess(DeviceSet devices) {
  const std::lock_guard lock(keys().mutex);
  for (const auto& [set, key] : keys().ofSet) {
    if (key < 0 || (set & devices) == 0) continue;
    before_.emplace_back(key, static_cast<unsigned>(::pkey_get(key)));
    ::pkey_set(key, 0);
  }
}

DeviceAccess::~DeviceAccess() {
  for (const auto& [key, rights] : before_) ::pkey_set(key, rights);
}

}  // namespace lockstep::cuda::fake
