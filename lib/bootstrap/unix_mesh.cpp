#include "bootstrap/unix_mesh.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <optional>
#include <thread>

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/fail.hpp"
#include "bootstrap/mesh_message.hpp"
#include "bootstrap/socket.hpp"
#include "bootstrap/unix_socket.hpp"

namespace lockstep {

using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kMeshMagic = 0x334d534c;  // "LSM3"
/// How often a wait looks around.
constexpr auto kLook = 50ms;
/// A process of this user that connects and stays silent holds up the others no longer than this.
constexpr auto kHelloPatience = 1s;

/// What both ends of a new connection say: whom they take the other for, and who they are.
struct MeshHello {
  std::uint32_t magic;
  std::uint32_t from;
  Token receiverSecret;
  Token senderSecret;
  Hash proof;  ///< of a LinkAttempt; zero without a key
};

/// What the proof of a hello is bound to: both ends' fresh secrets make it good for one connection.
struct LinkAttempt {
  std::uint32_t from, to;
  MeshAddress sender, receiver;
};

/// Goes with each descriptor.
struct FdNote {
  std::uint32_t magic;
  std::uint32_t sequence;
  std::uint32_t from;
  std::uint32_t holdsFd;
};

UnixAddress addressOf(const MeshAddress& door) {
  return UnixAddress("lockstep-" + toHex(door.name));
}

ucred knownCredentialsOf(const Fd& socket) {
  const std::optional<ucred> peer = credentialsOf(socket);
  if (!peer) failErrno("cannot ask who is at the other end of a Unix socket");
  return *peer;
}

Link makeLink(Fd socket) {
  Link link;
  const pid_t pid = knownCredentialsOf(socket).pid;
  link.socket = std::move(socket);
  if (pid <= 0) return link;  // it has no number in this pid namespace
  link.pid = pid;
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process && outOfDescriptors(errno)) failErrno("cannot watch process {}", pid);
  if (process) link.process = std::make_shared<const Fd>(std::move(process));
  return link;  // without a pidfd where the kernel gives none
}

/// Waits in slices, so that `check` runs meanwhile. False: the deadline passed.
bool waitChecking(const Fd& fd, short events, const std::function<void()>& check,
                  Deadline deadline) {
  for (;;) {
    if (waitFor(fd, events, sooner(deadline, Deadline::in(kLook)))) return true;
    check();
    if (deadline.passed()) return false;
  }
}

/// One rank's hellos, to and from the others.
class Greeter {
 public:
  Greeter(int rank, const MeshAddress& own, std::span<const MeshAddress> all, const JoinKey* key)
      : rank_(rank), own_(own), all_(all), key_(key) {}

  bool sendHello(const Fd& socket, int to) const {
    const MeshAddress& receiver = all_[static_cast<std::size_t>(to)];
    const MeshHello hello{kMeshMagic, static_cast<std::uint32_t>(rank_), receiver.secret,
                          own_.secret, proofOf(rank_, own_, to, receiver)};
    return sendNow(socket, std::as_bytes(std::span(&hello, 1))) == sizeof hello;
  }

  /// Who of `expected` said the hello that waits in `socket`, if it did so to this rank.
  std::optional<int> takeHello(const Fd& socket, RankSet expected) const {
    MeshHello hello{};
    const auto got = receiveNow(socket, std::as_writable_bytes(std::span(&hello, 1)));
    if (got != sizeof hello || hello.magic != kMeshMagic || hello.from >= all_.size())
      return std::nullopt;
    const int from = static_cast<int>(hello.from);
    const MeshAddress& sender = all_[hello.from];
    if ((expected & rankBit(from)) == 0 || !sameToken(hello.receiverSecret, own_.secret) ||
        !sameToken(hello.senderSecret, sender.secret) ||
        !equalInConstantTime(hello.proof, proofOf(from, sender, rank_, own_)))
      return std::nullopt;
    return from;
  }

 private:
  Hash proofOf(int from, const MeshAddress& sender, int to, const MeshAddress& receiver) const {
    if (key_ == nullptr) return {};
    const LinkAttempt attempt{static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to),
                              sender, receiver};
    return key_->proof("link", std::as_bytes(std::span(&attempt, 1)));
  }

  int rank_;
  const MeshAddress& own_;
  std::span<const MeshAddress> all_;
  const JoinKey* key_;
};

/// A door may be closed because some other rank has failed; the meeting point tells a moment later.
void explainDoor(const std::function<void()>& check) {
  for (const auto until = Deadline::in(kLook); !until.passed(); std::this_thread::sleep_for(1ms))
    check();
}

Fd knock(int to, const MeshAddress& door, const std::function<void()>& check, Deadline deadline) {
  const UnixAddress address = addressOf(door);
  for (;;) {
    Fd socket = openUnix();
    if (::connect(socket.get(), address.get(), address.size()) == 0) return socket;
    const int error = errno;
    check();
    if (error != EAGAIN && error != EINTR) {  // EAGAIN: the backlog is full
      explainDoor(check);
      fail(ErrorCode::bootstrap,
           "cannot reach rank {} on this host: {}; has its process ended, or does it run in "
           "another network namespace (a container)?",
           to, std::strerror(error));
    }
    if (deadline.passed()) fail(ErrorCode::timeout, "rank {} did not let this rank in", to);
    std::this_thread::sleep_for(1ms);
  }
}

/// Rank of the next stranger at the door who proves to be one of `expected`, with its socket.
std::optional<std::pair<int, Fd>> admitOne(const Fd& listener, const Greeter& greeter,
                                           RankSet expected, const std::function<void()>& check,
                                           Deadline deadline) {
  Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket && outOfDescriptors(errno)) failErrno("cannot let {} in", describe(expected));
  // Abstract names are open to every user of the host. Others are not worth waiting for.
  if (!socket || knownCredentialsOf(socket).uid != ::geteuid()) return std::nullopt;
  if (!waitChecking(socket, POLLIN, check, sooner(deadline, Deadline::in(kHelloPatience))))
    return std::nullopt;
  const auto from = greeter.takeHello(socket, expected);
  if (!from) return std::nullopt;
  return std::pair(*from, std::move(socket));
}

/// Empty: nothing has come yet.
std::optional<Fd> receiveFd(const Link& link, int from, std::uint32_t sequence) {
  FdNote note{};
  Received got = receiveMessage(link, std::as_writable_bytes(std::span(&note, 1)));
  if (got.status == Received::Status::nothing) return std::nullopt;
  if (got.status == Received::Status::ended)
    throw Error(ErrorCode::peerDied, from, {}, fmt::format("rank {} is gone", from));
  if (got.bytes != sizeof note || note.magic != kMeshMagic || note.sequence != sequence ||
      note.from != static_cast<std::uint32_t>(from))
    fail(ErrorCode::bootstrap, "rank {} sent something else than its descriptor number {}", from,
         sequence);
  if (static_cast<bool>(got.fd) != (note.holdsFd != 0))
    fail(ErrorCode::system,
         "cannot take over a descriptor of rank {}: this process has too many open files; raise "
         "'ulimit -n'",
         from);
  return std::move(got.fd);
}

}  // namespace

MeshDoor::MeshDoor() : address_{randomToken(), randomToken()}, listener_(openUnix()) {
  const UnixAddress own = addressOf(address_);
  if (::bind(listener_.get(), own.get(), own.size()) != 0 ||
      ::listen(listener_.get(), SOMAXCONN) != 0)
    failErrno("cannot listen on a Unix socket");
}

std::vector<Link> MeshDoor::connect(int rank, std::span<const MeshAddress> all, const JoinKey* key,
                                    const std::function<void()>& check, Deadline deadline) {
  const Greeter greeter(rank, address_, all, key);
  std::vector<Link> links(all.size());
  // Nobody waits for an answer before having knocked everywhere: so this cannot deadlock.
  for (int to = 0; to < rank; ++to) {
    const auto i = static_cast<std::size_t>(to);
    links[i] = makeLink(knock(to, all[i], check, deadline));
    greeter.sendHello(links[i].socket, to);
  }

  RankSet expected = allRanks(static_cast<int>(all.size())) & ~allRanks(rank + 1);
  while (expected != 0) {
    if (deadline.passed() || !waitChecking(listener_, POLLIN, check, deadline))
      fail(ErrorCode::timeout, "{} {} not connected to rank {}", describe(expected), have(expected),
           rank);
    auto visitor = admitOne(listener_, greeter, expected, check, deadline);
    if (!visitor) {
      check();  // like the deadline, after each: strangers may queue for as long as they like
      continue;
    }
    auto& [from, socket] = *visitor;
    const auto i = static_cast<std::size_t>(from);
    greeter.sendHello(socket, from);
    links[i] = makeLink(std::move(socket));
    expected &= ~rankBit(from);
  }

  for (int to = 0; to < rank; ++to) {
    const auto i = static_cast<std::size_t>(to);
    if (!waitChecking(links[i].socket, POLLIN, check, deadline))
      fail(ErrorCode::timeout, "rank {} did not answer rank {}", to, rank);
    if (!greeter.takeHello(links[i].socket, rankBit(to))) {
      explainDoor(check);
      fail(ErrorCode::bootstrap, "rank {} did not let rank {} in: {}", to, rank,
           knownCredentialsOf(links[i].socket).uid == ::geteuid()
               ? "has its process ended?"
               : "it belongs to another user; run all ranks as one");
    }
  }
  listener_.reset();
  return links;
}

std::vector<Fd> exchangeFds(std::span<const Link> links, int rank, std::uint32_t sequence,
                            const Fd& mine, const std::function<void()>& check, Deadline deadline) {
  std::vector<Fd> theirs(links.size());
  const FdNote note{kMeshMagic, sequence, static_cast<std::uint32_t>(rank), mine ? 1u : 0u};
  RankSet unsent = allRanks(static_cast<int>(links.size())) & ~rankBit(rank);
  RankSet unreceived = unsent;
  for (;;) {
    bool inFlight = false;
    for (int r = 0; r < static_cast<int>(links.size()); ++r) {
      const auto i = static_cast<std::size_t>(r);
      if ((unreceived & rankBit(r)) != 0) {
        if (auto fd = receiveFd(links[i], r, sequence)) {
          theirs[i] = std::move(*fd);
          unreceived &= ~rankBit(r);
        }
      }
      if ((unsent & rankBit(r)) != 0 && !inFlight) {
        const Sent sent = sendMessage(links[i], r, std::as_bytes(std::span(&note, 1)), mine);
        if (sent == Sent::yes) unsent &= ~rankBit(r);
        inFlight = sent == Sent::tooManyInFlight;
      }
    }
    if ((unsent | unreceived) == 0) return theirs;
    if (deadline.passed())
      fail(ErrorCode::timeout, "{} {} not taken part in an exchange of memory with rank {}",
           describe(unsent | unreceived), have(unsent | unreceived), rank);
    check();
    waitForLinks(links, unsent, unreceived, inFlight, sooner(deadline, Deadline::in(kLook)));
  }
}

RankSet goneRanks(std::span<const Link> links) noexcept {
  // The pidfds stand behind the sockets. poll(2) skips negative descriptors.
  std::array<pollfd, 2 * std::size_t{kMaxWorld}> entries;
  const std::size_t world = links.size();
  for (std::size_t r = 0; r < world; ++r) {
    // Not POLLIN for the socket: a descriptor that waits to be taken is no sign of death.
    entries[r] = {links[r].socket.get(), POLLRDHUP, 0};
    entries[world + r] = {links[r].pidfd(), POLLIN, 0};
  }
  if (::poll(entries.data(), 2 * world, 0) <= 0) return 0;
  RankSet gone = 0;
  for (std::size_t r = 0; r < world; ++r)
    if ((entries[r].revents | entries[world + r].revents) != 0)
      gone |= rankBit(static_cast<int>(r));
  return gone;
}

}  // namespace lockstep
