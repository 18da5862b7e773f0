// Ranks that lend each other their buffers, call after call: operation by operation what
// lib/executor/host/run_exposure.cpp does, with a caller who fills `in` before each call and reads
// `out` after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/model/explorer.hpp"

namespace lockstep::model {

enum class ExposureBug : std::uint8_t {
  none,
  enteredStoreRelaxed,
  enteredLoadRelaxed,
  releasedStoreRelaxed,
  releasedLoadRelaxed,
  enteredBeforeLine,     ///< the epoch is stored before the words it vouches for
  releaseBeforeUse,      ///< peers' buffers are touched after the release
  noClose,               ///< a call returns without waiting for the peers' release
  noCloseAfterFallBack,  ///< the next expose does not wait for the readers of the line
  noReleaseInFallBack,   ///< a rank that falls back does not release
  fallBackDecidedAlone,  ///< by a rank's own buffers instead of everyone's
  acquiresAllButOne,
};

/// direct[e][rank]: can the buffers that this rank passes to call e be read in place? If any
/// cannot, every rank falls back before touching one.
struct ExposureWorld {
  std::string name;
  std::vector<std::vector<bool>> direct;
  ExposureBug bug = ExposureBug::none;
};

class ExposureProgram {
 public:
  explicit ExposureProgram(const ExposureWorld& world)
      : world_(world), ranks_(world.direct.at(0).size()) {
    if (ranks_ * ranks_ > kMaxCells || ranks_ > kMaxThreads)
      throw std::length_error("more ranks than a state has room for");
    addWords("entered", has(ExposureBug::enteredStoreRelaxed),
             has(ExposureBug::enteredLoadRelaxed));
    addWords("released", has(ExposureBug::releasedStoreRelaxed),
             has(ExposureBug::releasedLoadRelaxed));
    addWords("region", false, false);
    addWords("fingerprint", false, false);
    for (std::size_t rank = 0; rank < ranks_; ++rank) {
      Lane lane;
      for (std::size_t epoch = 1; epoch <= world.direct.size(); ++epoch) addCall(lane, rank, epoch);
      program_.threads.push_back({{std::move(lane)}});
    }
  }
  const Program& program() const { return program_; }

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  enum Local : std::uint8_t { notClosed, fellBack };

  bool has(ExposureBug bug) const { return world_.bug == bug; }
  bool isDirect(std::size_t epoch, std::size_t rank) const {
    return world_.direct[epoch - 1][rank];
  }

  // ---- where things are ----

  void addWords(const std::string& name, bool relaxedStores, bool relaxedLoads) {
    for (std::size_t rank = 0; rank < ranks_; ++rank) {
      WordSpec spec{.name = name + " of " + std::to_string(rank),
                    .writer = rank,
                    .readers = {},
                    .relaxedStores = relaxedStores,
                    .relaxedLoads = relaxedLoads};
      for (std::size_t other = 0; other < ranks_; ++other)
        if (other != rank) spec.readers.push_back(other);
      program_.words.push_back(std::move(spec));
    }
  }
  std::size_t entered(std::size_t rank) const { return rank; }
  std::size_t released(std::size_t rank) const { return ranks_ + rank; }
  std::size_t region(std::size_t rank) const { return 2 * ranks_ + rank; }
  std::size_t fingerprint(std::size_t rank) const { return 3 * ranks_ + rank; }
  /// What `rank` passes in; and the part of what it gets out that `by` writes.
  std::size_t in(std::size_t rank) const { return rank * ranks_ + rank; }
  std::size_t out(std::size_t rank, std::size_t by) const { return rank * ranks_ + by; }
  /// An exposure line names a region of its epoch, or none (then it is even).
  std::uint64_t regionOf(std::size_t epoch, std::size_t rank) const {
    return 2 * epoch + (isDirect(epoch, rank) ? 1 : 0);
  }

  template <class Each>
  void forPeers(std::size_t rank, Each each) const {
    for (std::size_t peer = 0; peer < ranks_; ++peer)
      if (peer != rank) each(peer);
  }

  // ---- a call ----

  void addCall(Lane& lane, std::size_t rank, std::size_t epoch) const {
    const auto add = [&](const char* name, Outcome (ExposureProgram::*run)(Machine&, std::size_t,
                                                                           std::size_t) const) {
      lane.push_back({name + (" " + std::to_string(epoch)), [this, run, rank, epoch](Machine& m) {
                        return (this->*run)(m, rank, epoch);
                      }});
    };
    add("expose", &ExposureProgram::expose);
    add("acquire", &ExposureProgram::acquire);
    add("use and release", &ExposureProgram::use);
    add("close", &ExposureProgram::close);
  }

  bool allReleased(Machine& m, std::size_t rank, std::size_t epoch) const {
    bool all = true;
    forPeers(rank, [&](std::size_t peer) {
      if (m.load(released(peer), std::memory_order_acquire) < epoch) all = false;
    });
    return all;
  }

  /// The caller fills its buffer and calls; the exposure of a call that fell back is still open.
  Outcome expose(Machine& m, std::size_t rank, std::size_t epoch) const {
    m.write(in(rank), epoch);
    if (m.local(notClosed) != 0 && !has(ExposureBug::noCloseAfterFallBack) &&
        !allReleased(m, rank, epoch - 1))
      return Outcome::blocked;
    m.local(notClosed) = 1;
    const auto enter = [&] { m.store(entered(rank), epoch, std::memory_order_release); };
    if (has(ExposureBug::enteredBeforeLine)) enter();
    m.store(region(rank), regionOf(epoch, rank), kRelaxed);
    m.store(fingerprint(rank), epoch, kRelaxed);
    if (!has(ExposureBug::enteredBeforeLine)) enter();
    return Outcome::done;
  }

  /// Waits for every peer, reads their lines, and falls back if a buffer is out of reach.
  Outcome acquire(Machine& m, std::size_t rank, std::size_t epoch) const {
    bool all = true;
    forPeers(rank, [&](std::size_t peer) {
      const bool last = peer + 1 == ranks_ || (rank + 1 == ranks_ && peer + 2 == ranks_);
      if (last && has(ExposureBug::acquiresAllButOne)) return;
      if (m.load(entered(peer), std::memory_order_acquire) < epoch) all = false;
    });
    if (!all) return Outcome::blocked;
    bool direct = isDirect(epoch, rank);
    forPeers(rank, [&](std::size_t peer) {
      Machine::check(m.load(fingerprint(peer), kRelaxed) == epoch, "read the line of another call");
      const std::uint64_t where = m.load(region(peer), kRelaxed);
      Machine::check(where == regionOf(epoch, peer), "read the line of another call");
      if (where % 2 == 0 && !has(ExposureBug::fallBackDecidedAlone)) direct = false;
    });
    m.local(fellBack) = direct ? 0 : 1;
    if (!direct && !has(ExposureBug::noReleaseInFallBack)) release(m, rank, epoch);
    return Outcome::done;
  }

  /// Reads every peer's `in` and writes a part of every peer's `out`.
  Outcome use(Machine& m, std::size_t rank, std::size_t epoch) const {
    if (m.local(fellBack) != 0) return Outcome::done;
    if (has(ExposureBug::releaseBeforeUse)) release(m, rank, epoch);
    forPeers(rank, [&](std::size_t peer) {
      Machine::check(isDirect(epoch, peer), "touched a buffer that is out of reach");
      Machine::check(m.read(in(peer)) == epoch, "read the input of another call");
      m.write(out(peer, rank), epoch);
    });
    if (!has(ExposureBug::releaseBeforeUse)) release(m, rank, epoch);
    return Outcome::done;
  }

  /// Waits for the peers; then the call returns, and the caller reads what it got.
  Outcome close(Machine& m, std::size_t rank, std::size_t epoch) const {
    if (m.local(fellBack) != 0) return Outcome::done;
    if (!has(ExposureBug::noClose) && !allReleased(m, rank, epoch)) return Outcome::blocked;
    m.local(notClosed) = 0;
    forPeers(rank, [&](std::size_t peer) {
      Machine::check(m.read(out(rank, peer)) == epoch, "the output of another call");
    });
    return Outcome::done;
  }

  void release(Machine& m, std::size_t rank, std::size_t epoch) const {
    m.store(released(rank), epoch, std::memory_order_release);
  }

  const ExposureWorld& world_;
  std::size_t ranks_;
  Program program_;
};

inline Report explore(const ExposureWorld& world) {
  return explore(ExposureProgram(world).program());
}

}  // namespace lockstep::model
