// Compiled kernels on disk, so that only the first communicator of a kind waits for the compiler.
//
// What lies here is run on a GPU, so only this user may write it: the folder and each file must be
// this user's own and closed to others (0700, 0600). That is asked of the open files themselves,
// not of their names, so nothing can be exchanged in between. What does not meet it, is damaged or
// belongs to other text counts as missing and is replaced. Nothing that goes wrong here is an
// error: the compiler is always there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/fd.hpp"
#include "cc_mode/digest.hpp"
#include "executor/cuda/kernel.hpp"

namespace lockstep::cuda {

/// Any number of threads and processes may use one folder, and one Cache.
class Cache {
 public:
  static constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;

  /// In $LOCKSTEP_CACHE_DIR (none if that is empty), else $XDG_CACHE_HOME/lockstep, else
  /// ~/.cache/lockstep.
  static Cache fromEnvironment();
  /// In `folder`, which is made where it is missing. Of more than `mostBytes` it drops what was not
  /// used for longest.
  explicit Cache(const std::string& folder, std::uint64_t mostBytes = kMostBytes);
  /// Finds and keeps nothing.
  static Cache none(std::string why);

  /// Why nothing is found or kept, for people; empty if the folder is in use.
  const std::string& whyNot() const { return whyNot_; }
  /// Nothing if it is not there, or is not to be trusted.
  std::optional<Cubin> find(const cc::Digest& key) const;
  /// Written beside and renamed: a reader sees all of it or nothing.
  void keep(const cc::Digest& key, const Cubin& cubin) const;
  /// Drops what is too much. To be called when something was kept.
  void trim() const;

 private:
  Cache() = default;

  Fd folder_;
  std::uint64_t mostBytes_ = kMostBytes;
  std::string whyNot_;
};

}  // namespace lockstep::cuda
