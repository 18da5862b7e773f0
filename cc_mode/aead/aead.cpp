#include "cc_mode/aead/aead.hpp"

#include <string>

#ifdef __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "cc_mode/aead/backend.hpp"

namespace lockstep::cc {
namespace {

struct Backend {
  std::string_view name;
  std::shared_ptr<const Aead> (*create)();
};

constexpr Backend kFastestFirst[] = {{"ipsec-mb", createIpsecMb}, {"openssl", createOpenssl}};

/// AES rounds and carry-less multiplication (for GHASH) in hardware.
bool hasAesInstructions() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
  constexpr unsigned long kNeeded = HWCAP_AES | HWCAP_PMULL;
  return (::getauxval(AT_HWCAP) & kNeeded) == kNeeded;
#else
  return false;
#endif
}

std::string available() {
  std::string names;
  for (const Backend& backend : kFastestFirst)
    if (backend.create()) names += (names.empty() ? "" : ", ") + std::string(backend.name);
  return names.empty() ? "none" : names;
}

}  // namespace

std::shared_ptr<const Aead> createAead(std::string_view name) {
  if (!hasAesInstructions())
    fail(ErrorCode::unsupported,
         "this processor has no AES instructions, and AES on tables leaks keys through the cache: "
         "use an unsealed mode (p2p, multicast) or another machine");
  for (const Backend& backend : kFastestFirst)
    if (name.empty() || name == backend.name)
      if (auto aead = backend.create()) return aead;
  fail(ErrorCode::unsupported, "there is no cipher '{}' here; available: {}", name, available());
}

}  // namespace lockstep::cc
