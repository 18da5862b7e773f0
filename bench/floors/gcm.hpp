// AES-256-GCM by intel-ipsec-mb without anything between: one key per direction, nonces that count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/secret.hpp"
#include "bench/floors/team.hpp"

struct IMB_MGR;
struct gcm_key_data;

namespace lockstep::floors {

inline constexpr std::size_t kTag = 16;
/// What a record of Lockstep's authenticates beside its data: who sends what to whom in which call.
inline constexpr std::size_t kAad = 48;

/// Seals for a peer and opens what it sealed. Private memory only.
class Gcm {
 public:
  Gcm(const Team& team, int peer);
  ~Gcm();
  Gcm(const Gcm&) = delete;
  Gcm& operator=(const Gcm&) = delete;

  /// Encrypts `bytes` of `plain` to `cipher` and appends the tag behind them.
  void seal(const void* plain, std::byte* cipher, std::size_t bytes);
  /// Decrypts `bytes` of `cipher`, which the tag follows, to `plain` (may be the same). Throws
  /// integrity when the tag is wrong.
  void open(const std::byte* cipher, std::byte* plain, std::size_t bytes);
  /// The work of open, for timing it alone: any tag will do.
  void openUnchecked(const std::byte* cipher, std::byte* plain, std::size_t bytes);

 private:
  struct FreeManager {
    void operator()(IMB_MGR* manager) const;
  };
  gcm_key_data* key(std::size_t i) const;
  /// Opens and returns whether the tag is right.
  bool tryOpen(const std::byte* cipher, std::byte* plain, std::size_t bytes);

  std::unique_ptr<IMB_MGR, FreeManager> manager_;
  SecretPages keys_;
  std::uint64_t sealed_ = 0, opened_ = 0;
};

}  // namespace lockstep::floors
