// How the ranks of a communicator find and reach each other before there is shared memory, and how
// they learn that one is gone. Three implementations: processes that met (TCP to the meeting point,
// Unix sockets between ranks), groups of them (Unix sockets alone), and threads of one process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "base/clock.hpp"
#include "base/fd.hpp"

namespace lockstep {

class Peers {
 public:
  virtual ~Peers() = default;
  virtual int rank() const = 0;
  virtual int worldSize() const = 0;
  /// All ranks are threads of this process: one address space.
  virtual bool sameProcess() const = 0;
  /// Process id of a rank as this process sees it, or -1 when it cannot (another pid namespace).
  virtual pid_t pidOf(int rank) const = 0;
  /// A pidfd of that process, or -1 when there is none. It stays this object's.
  virtual int pidfdOf(int rank) const = 0;
  /// Collective: every rank gets every rank's bytes, by rank. At most 1 MiB each. Nothing here is
  /// secret or authentic. Throws bootstrap or timeout, naming the ranks that are missing.
  virtual std::vector<std::vector<std::byte>> allGather(std::span<const std::byte> mine,
                                                        Deadline deadline) = 0;
  /// Collective: every rank gets a descriptor of every other rank's file, by rank (its own entry is
  /// empty).
  virtual std::vector<Fd> exchangeFds(const Fd& mine, Deadline deadline) = 0;
  /// Collective, threads of one process only (internal otherwise): every rank gets a share of what
  /// every rank gave, by rank. It stays while anyone holds a share, whatever becomes of its giver.
  virtual std::vector<std::shared_ptr<void>> share(std::shared_ptr<void> mine,
                                                   Deadline deadline) = 0;
  /// Collective: every rank joins the others of its group anew, or none. `members`: the ranks of
  /// this rank's group in their new order, itself among them; the same on all of them. Empty: it
  /// joins none, and gets nullptr. What comes out needs neither this object nor a meeting point.
  virtual std::unique_ptr<Peers> group(std::span<const int> members, Deadline deadline) = 0;
  /// Makes something out of a group of ranks (`members`, as above).
  using Build = std::function<void(std::unique_ptr<Peers> peers, std::span<const int> members)>;
  /// Collective among the ranks that are not gone, whatever has failed before: they agree on who
  /// they are, in the old order, and each calls `build`. If a rank dies meanwhile, which ends some
  /// ranks' `build` with peerDied or aborted, they try again without it; the last one counts.
  /// Returns when all of them have built. Throws timeout (naming the ranks that did not answer),
  /// aborted (another rank could not go on), what this rank's `build` threw, system.
  virtual void shrink(const Build& build, Deadline deadline) = 0;
  /// Bit r: rank r's process is gone. One system call, no allocation, any time after creation.
  virtual std::uint64_t gone() noexcept = 0;

  /// `look` is called at least every 50 ms while this rank waits in a collective above. What it
  /// throws ends the wait, and comes out of the collective.
  virtual void whileWaiting(std::function<void()> look) { look_ = std::move(look); }

 protected:
  const std::function<void()>& look() const { return look_; }

 private:
  std::function<void()> look_ = [] {};
};

/// Opens a meeting point in this process and returns the text that names it:
/// "lockstep1:<address>:<port>:<32 hex digits>". A background thread serves it until every
/// communicator that met there has gone and this process needs no more; see meeting_point.cpp.
/// `address` empty: loopback. With a `psk` it is keyed ("lockstep2:..."): nobody takes a rank's
/// place who does not prove that it knows the pre-shared key, and it proves the same to the ranks.
/// A key made of it is kept in secret pages as long as the point is served.
std::string openMeetingPoint(std::string_view address, std::span<const std::byte> psk = {});
/// Throws invalidArgument unless `text` is one openMeetingPoint could have returned.
void checkMeetingPoint(std::string_view text);
/// It was opened with a pre-shared key. Throws as checkMeetingPoint.
bool isKeyedMeetingPoint(std::string_view text);

/// Joins the meeting point as `rank` of `worldSize`. All ranks must run on this host (said in the
/// error). `psk`: for a keyed meeting point; others ignore it. Throws keyExchange if it is not the
/// one that the point was opened with, or if who answers does not know it.
std::unique_ptr<Peers> joinProcesses(const std::string& meetingPoint, int rank, int worldSize,
                                     Deadline deadline, std::span<const std::byte> psk = {});
/// One end per thread.
std::vector<std::unique_ptr<Peers>> joinThreads(int worldSize);

}  // namespace lockstep
