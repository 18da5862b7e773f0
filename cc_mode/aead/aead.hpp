// Authenticated encryption behind one interface: AES-256-GCM by intel-ipsec-mb or by OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace lockstep::cc {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kNonceBytes = 12;

/// Memory that only this process can reach: an AEAD on memory that changes under it is broken.
/// Constructing one of a pointer is a statement by the caller. What lies in shared memory the
/// transport gives as something else (shm/shared_bytes.hpp), of which none can be made; and with
/// LOCKSTEP_CHECK_PRIVATE every Aead refuses what is mapped shared.
class PrivateBytes {
 public:
  PrivateBytes() = default;
  explicit PrivateBytes(void* data, std::size_t size)
      : data_(static_cast<std::byte*>(data)), size_(size) {}
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

class ConstPrivateBytes {
 public:
  ConstPrivateBytes() = default;
  explicit ConstPrivateBytes(const void* data, std::size_t size)
      : data_(static_cast<const std::byte*>(data)), size_(size) {}
  ConstPrivateBytes(PrivateBytes b) : data_(b.data()), size_(b.size()) {}  // NOLINT: weaker is fine
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

using Tag = std::array<std::byte, kTagBytes>;
using Nonce = std::array<std::byte, kNonceBytes>;

/// The nonce with this number: 4 zero bytes, then the number big-endian (deterministic construction
/// of NIST SP 800-38D section 8.2.1; a key is used by one sender in one direction, so the fixed
/// field can be zero).
inline Nonce nonceOf(std::uint64_t number) {
  Nonce nonce{};
  const std::uint64_t bigEndian = __builtin_bswap64(number);
  std::memcpy(nonce.data() + 4, &bigEndian, sizeof bigEndian);
  return nonce;
}

/// A key made ready by one Aead (round keys, powers of H), in wiped, undumpable pages.
class ExpandedKey {
 public:
  virtual ~ExpandedKey() = default;
};

/// Stateless; one instance serves all threads. An ExpandedKey is used by one thread at a time.
class Aead {
 public:
  virtual ~Aead() = default;
  /// "ipsec-mb AES-256-GCM"
  virtual std::string_view name() const = 0;
  virtual std::unique_ptr<ExpandedKey> expand(std::span<const std::byte, kKeyBytes> key) const = 0;
  /// Encrypts `plain` to `cipher` (same size; may be the same memory) and makes the tag over `aad`
  /// and it. Throws invalidArgument, with nothing in `cipher`, if this process was forked since the
  /// key was expanded.
  virtual void seal(ExpandedKey& key, const Nonce& nonce, ConstPrivateBytes aad,
                    ConstPrivateBytes plain, PrivateBytes cipher, Tag& tag) const = 0;
  /// Decrypts `cipher` to `plain` (same size; may be the same memory). False: the tag is wrong, and
  /// `plain` is zeroed.
  [[nodiscard]] virtual bool open(ExpandedKey& key, const Nonce& nonce, ConstPrivateBytes aad,
                                  ConstPrivateBytes cipher, const Tag& tag,
                                  PrivateBytes plain) const = 0;
};

/// The AEAD called `name` ("ipsec-mb", "openssl"), or for an empty name the fastest that this
/// machine has. Throws unsupported with the list of those there are; refuses a CPU without AES
/// instructions, where AES would run on tables and leak keys through the cache.
std::shared_ptr<const Aead> createAead(std::string_view name = {});

}  // namespace lockstep::cc
