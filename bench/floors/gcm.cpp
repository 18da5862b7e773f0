#include "bench/floors/gcm.hpp"

#include <array>
#include <cstring>

#include <intel-ipsec-mb.h>

#include "base/fail.hpp"

namespace lockstep::floors {
namespace {

using Nonce = std::array<std::uint8_t, 12>;

/// Deterministic construction of NIST SP 800-38D, 8.2.1: a key serves one direction, so the number
/// of the record alone makes the nonce unique.
Nonce nonceOf(std::uint64_t number) {
  Nonce nonce{};
  std::memcpy(nonce.data() + 4, &number, sizeof number);
  return nonce;
}

constexpr std::size_t kKeyRoom = roundUp(sizeof(gcm_key_data), kCacheLine);

/// Constant: the floors have no calls to tell apart, but pay for authenticating as much.
alignas(kCacheLine) constexpr std::uint8_t kAadBytes[kAad] = {};

/// Equal, without a branch on any single byte.
bool sameTag(const std::uint8_t* a, const std::uint8_t* b) {
  std::uint64_t x[2], y[2];
  std::memcpy(x, a, kTag);
  std::memcpy(y, b, kTag);
  return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

}  // namespace

void Gcm::FreeManager::operator()(IMB_MGR* manager) const {
  free_mb_mgr(manager);
}

Gcm::Gcm(const Team& team, int peer) : manager_(alloc_mb_mgr(0)), keys_(2 * kKeyRoom) {
  if (!manager_) fail(ErrorCode::system, "intel-ipsec-mb has no memory for its manager");
  init_mb_mgr_auto(manager_.get(), nullptr);
  IMB_MGR* m = manager_.get();
  IMB_AES256_GCM_PRE(m, team.key(team.rank(), peer).data(), key(0));
  IMB_AES256_GCM_PRE(m, team.key(peer, team.rank()).data(), key(1));
}

Gcm::~Gcm() = default;

gcm_key_data* Gcm::key(std::size_t i) const {
  return reinterpret_cast<gcm_key_data*>(keys_.data() + i * kKeyRoom);
}

void Gcm::seal(const void* plain, std::byte* cipher, std::size_t bytes) {
  gcm_context_data context;
  const Nonce nonce = nonceOf(sealed_++);
  IMB_AES256_GCM_ENC(manager_, key(0), &context, reinterpret_cast<std::uint8_t*>(cipher),
                     static_cast<const std::uint8_t*>(plain), bytes, nonce.data(), kAadBytes, kAad,
                     reinterpret_cast<std::uint8_t*>(cipher) + bytes, kTag);
}

bool Gcm::tryOpen(const std::byte* cipher, std::byte* plain, std::size_t bytes) {
  gcm_context_data context;
  const Nonce nonce = nonceOf(opened_++);
  std::uint8_t claimed[kTag], tag[kTag];
  std::memcpy(claimed, cipher + bytes, kTag);
  IMB_AES256_GCM_DEC(manager_, key(1), &context, reinterpret_cast<std::uint8_t*>(plain),
                     reinterpret_cast<const std::uint8_t*>(cipher), bytes, nonce.data(), kAadBytes,
                     kAad, tag, kTag);
  return sameTag(claimed, tag);
}

void Gcm::open(const std::byte* cipher, std::byte* plain, std::size_t bytes) {
  if (!tryOpen(cipher, plain, bytes))
    fail(ErrorCode::integrity, "record {} does not verify", opened_ - 1);
}

void Gcm::openUnchecked(const std::byte* cipher, std::byte* plain, std::size_t bytes) {
  tryOpen(cipher, plain, bytes);
}

}  // namespace lockstep::floors
