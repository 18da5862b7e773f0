#include "bootstrap/join_key.hpp"

#include <type_traits>

namespace lockstep {

namespace {

std::span<const std::byte> bytesOf(const JoinAttempt& attempt) {
  static_assert(std::has_unique_object_representations_v<JoinAttempt>);  // no padding
  return std::as_bytes(std::span(&attempt, 1));
}

}  // namespace

void deriveJoinKey(std::span<const std::byte> psk, const Token& token,
                   std::span<std::byte, kHashBytes> key) {
  const Secret<Hash> root;
  hkdfExtract(token, psk, *root);
  hkdfExpand(*root, lockstep::bytesOf("lockstep meeting point"), key);
}

JoinKey::JoinKey(std::span<const std::byte> psk, const Token& token) {
  deriveJoinKey(psk, token, *key_);
}

Hash JoinKey::proofOfRank(const JoinAttempt& attempt) const {
  return proof("rank", bytesOf(attempt));
}

Hash JoinKey::proofOfMeetingPoint(const JoinAttempt& attempt) const {
  return proof("meeting point", bytesOf(attempt));
}

Hash JoinKey::proof(std::string_view purpose, std::span<const std::byte> said) const {
  const auto name = lockstep::bytesOf(purpose);
  Bytes text(name.begin(), name.end());
  text.push_back(std::byte{0});  // no purpose is the beginning of another
  text.insert(text.end(), said.begin(), said.end());
  return hmacSha256(*key_, text);
}

}  // namespace lockstep
