// What the implementations of AES-256-GCM share with createAead, and with nobody else.
#pragma once

#include <memory>

#include "base/fail.hpp"
#include "base/secret.hpp"
#include "base/shared_ranges.hpp"
#include "cc_mode/aead/aead.hpp"
#include "cc_mode/forked.hpp"

namespace lockstep::cc {

/// Each makes its Aead, or gives null where this build or this processor does not have it.
std::shared_ptr<const Aead> createIpsecMb();
std::shared_ptr<const Aead> createOpenssl();

/// Far above any record of ours, and below what OpenSSL's `int` lengths and GCM (2^36 - 32 bytes,
/// NIST SP 800-38D section 5.2.1.1) take.
inline constexpr std::size_t kMaxRecordBytes = std::size_t{1} << 30;

/// Throws internal for memory that others may write, in builds with LOCKSTEP_CHECK_PRIVATE.
inline void checkPrivate([[maybe_unused]] ConstPrivateBytes aad,
                         [[maybe_unused]] ConstPrivateBytes from,
                         [[maybe_unused]] ConstPrivateBytes to, [[maybe_unused]] const Tag& tag) {
#ifdef LOCKSTEP_CHECK_PRIVATE
  for (const ConstPrivateBytes bytes : {aad, from, to, ConstPrivateBytes(tag.data(), tag.size())})
    if (isShared(bytes.data(), bytes.size()))
      fail(ErrorCode::internal,
           "AEAD on memory that others can write: it may change between what is "
           "verified and what is used");
#endif
}

/// Throws internal for sizes that would make a library write past `to`, or do nothing at all.
inline void checkSizes(ConstPrivateBytes aad, ConstPrivateBytes from, PrivateBytes to) {
  if (from.size() != to.size() || from.size() > kMaxRecordBytes || aad.size() > kMaxRecordBytes)
      [[unlikely]]
    fail(ErrorCode::internal, "AEAD of {} bytes into {} with {} bytes of additional data",
         from.size(), to.size(), aad.size());
}

/// What an expanded key has beside it in its secret pages: zero in a child that was forked since,
/// however it was forked, since the pages are wiped there.
enum class Alive : std::uint32_t { no, yes };

/// After a record was sealed and before anybody sees it: wipes it and throws invalidArgument if the
/// key is gone, and so may have been gone while it sealed. (Looked at before, a signal handler
/// could still fork.)
inline void refuseIfForked(Alive alive, PrivateBytes cipher) {
  if (alive == Alive::yes) [[likely]]
    return;
  wipe(cipher.data(), cipher.size());
  refuseForkedChild();
}

}  // namespace lockstep::cc
