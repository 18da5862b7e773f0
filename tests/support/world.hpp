// Worlds of ranks for tests: every rank runs the same function, as a thread or as a process, and
// what became of each is told.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/mapping.hpp"
#include <lockstep/lockstep.hpp>

namespace lockstep::testing {

/// What a rank is.
enum class Kind : std::uint8_t {
  threads,    ///< a thread of Communicator::createInProcess
  sockets,    ///< a thread that came by Communicator::create: sockets and shared files, one process
  processes,  ///< a forked process that came by Communicator::create
};
std::string_view name(Kind kind);

/// What became of a rank.
struct Outcome {
  bool ok = false;                ///< its function returned
  std::optional<ErrorCode> code;  ///< it threw a lockstep::Error
  int blamed = -1;                ///< Error::rank()
  std::string operation;          ///< Error::operation()
  std::string text;               ///< what() of whatever it threw, or how its process ended
};
/// "rank 1: aborted: allreduce #1 ...; rank 2: ok", for failure texts.
std::string describe(const std::vector<Outcome>& outcomes);
/// Empty, or describe() when a rank is not ok.
std::string failures(const std::vector<Outcome>& outcomes);

/// Most a world may take. Processes are killed then; threads cannot be, so the test program ends.
inline constexpr std::chrono::seconds kWorldLimit{120};

/// Plays `worldSize` ranks side by side: threads of this process (Kind::threads, Kind::sockets) or
/// forked processes, which must be started before this process has threads.
std::vector<Outcome> playRanks(Kind kind, int worldSize, const std::function<void(int rank)>& play,
                               std::chrono::seconds limit = kWorldLimit);

/// As above, with a communicator for each rank.
std::vector<Outcome> runRanks(Kind kind, int worldSize, const Options& options,
                              const std::function<void(Communicator&, int rank)>& play,
                              std::chrono::seconds limit = kWorldLimit);

/// As above, for `count` communicators per rank, the k-th with options[k].
std::vector<Outcome> runRanks(Kind kind, int worldSize, const std::vector<Options>& options,
                              const std::function<void(std::vector<Communicator>&, int rank)>& play,
                              std::chrono::seconds limit = kWorldLimit);

/// A meeting point for ranks that do not know it yet: rank 0 opens it, the others wait for its
/// name. Make one before the ranks start.
class Meeting {
 public:
  Meeting();
  UniqueId id(int rank);

 private:
  Mapping page_;
};

/// A pre-shared key, always the same.
std::vector<std::byte> testPsk();
/// Options of a mode, with a key where it needs one and a time limit that suits a loaded machine.
Options optionsOf(Mode mode);

/// Throws if `holds` is false: how a function played by a rank fails its test.
void require(bool holds, const std::string& why);

/// Memory of this process that the ranks it forks share with it: a T that starts as T().
template <class T>
class Shared {
  static_assert(std::is_trivially_destructible_v<T> && sizeof(T) <= 16 * kPage);

 public:
  Shared() : pages_(sharedPages()), value_(new (pages_.data()) T()) {}
  T& operator*() const noexcept { return *value_; }
  T* operator->() const noexcept { return value_; }

 private:
  static Mapping sharedPages() {
    const Fd file = createSharedMemory("test", 16 * kPage);
    return Mapping::ofFile(file, 16 * kPage, Mapping::Access::readWrite);
  }
  Mapping pages_;
  T* value_;
};

}  // namespace lockstep::testing
