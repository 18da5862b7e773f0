#include "bootstrap/rendezvous.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <list>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fail.hpp"
#include "base/fd.hpp"
#include "bootstrap/join_key.hpp"
#include "bootstrap/rank_set.hpp"
#include "bootstrap/socket.hpp"
#include "bootstrap/unix_socket.hpp"

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kMagic = 0x3252534c;  // "LSR2"
/// Processes that may wait at once, strangers of this user included.
constexpr std::size_t kMostVisitors = 256;
/// Taken off the backlog in one turn: whoever fills it up, the deadline is looked at in between.
constexpr int kMostAccepted = 64;

/// What rank 0 says to whoever connects.
struct Invitation {
  std::uint32_t magic = kMagic;
  std::uint32_t keyed = 0;
  Nonce challenge{};
};

/// What a rank answers.
struct Visit {
  std::uint32_t magic = kMagic;
  std::uint32_t rank = 0;
  std::uint32_t worldSize = 0;
  Hash proof{};  ///< zero without a key
};

enum class Answer : std::uint32_t { text, missing, otherWorld, taken, otherKey };

struct Reply {
  std::uint32_t magic = kMagic;
  Answer answer = Answer::text;
  std::uint32_t worldSize = 0;  ///< as rank 0 was told
  RankSet missing = 0;
  std::array<char, 256> text{};
};

/// FNV-1a, so that names of any length fit and any character may occur.
std::uint64_t hashOf(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

UnixAddress addressOf(const Rendezvous& place) {
  return UnixAddress(socketNameOf(place));
}

template <class T>
std::span<const std::byte> bytesOf(const T& message) {
  return std::as_bytes(std::span(&message, 1));
}

/// Proves who visits, for this place and one challenge alone.
class VisitKey {
 public:
  explicit VisitKey(const Rendezvous& place) {
    if (place.psk.empty()) return;
    Token salt;
    const Hash name = sha256(lockstep::bytesOf(place.name));
    std::copy_n(name.begin(), salt.size(), salt.begin());
    key_.emplace(place.psk, salt);
  }
  explicit operator bool() const { return key_.has_value(); }

  Hash proof(const Nonce& challenge, std::uint32_t rank, std::uint32_t worldSize) const {
    if (!key_) return {};
    const struct {
      Nonce challenge;
      std::uint32_t rank, worldSize;
    } said{challenge, rank, worldSize};
    return key_->proof("visit", bytesOf(said));
  }

 private:
  std::optional<JoinKey> key_;
};

[[noreturn]] void failMissing(RankSet missing, int worldSize) {
  throw Error(
      ErrorCode::timeout, missing == 0 ? -1 : std::countr_zero(missing), {},
      fmt::format("{} of {} {} not come; has every rank been started on this host, and does "
                  "it create as many communicators as the others?",
                  describe(missing), worldSize, have(missing)));
}

// ---- rank 0 ----

class Host {
 public:
  explicit Host(const Rendezvous& place)
      : worldSize_(place.worldSize), key_(place), listener_(openUnix()) {
    const UnixAddress address = addressOf(place);
    if (::bind(listener_.get(), address.get(), address.size()) != 0) {
      if (errno != EADDRINUSE) failErrno("cannot wait for the other ranks");
      throw Error(ErrorCode::mismatch, 0, {},
                  "another process is rank 0 of this job already; give each job that runs at the "
                  "same time a name of its own (LOCKSTEP_JOB)");
    }
    if (::listen(listener_.get(), SOMAXCONN) != 0) failErrno("cannot wait for the other ranks");
  }

  std::string serve(const std::function<std::string()>& text, Deadline deadline) {
    while (missing() != 0) {
      if (deadline.passed()) {
        Reply reply{.answer = Answer::missing, .missing = missing()};
        tellAll(reply);
        failMissing(missing(), worldSize_);
      }
      wait(deadline);
      admit();
      for (auto visitor = visitors_.begin(); visitor != visitors_.end();)
        visitor = hear(*visitor) ? std::next(visitor) : visitors_.erase(visitor);
    }
    const std::string made = text();
    Reply reply{.answer = Answer::text};
    if (made.size() >= reply.text.size())
      fail(ErrorCode::internal, "the name of a meeting point has {} characters", made.size());
    std::memcpy(reply.text.data(), made.data(), made.size());
    tellAll(reply);
    return made;
  }

 private:
  struct Visitor {
    Fd socket;
    Nonce challenge;
    int rank = -1;  ///< once it has said it, and proven it
  };

  RankSet missing() const {
    RankSet here = rankBit(0);
    for (const Visitor& visitor : visitors_)
      if (visitor.rank > 0) here |= rankBit(visitor.rank);
    return allRanks(worldSize_) & ~here;
  }

  void wait(Deadline deadline) {
    std::vector<pollfd> entries;
    const bool room = visitors_.size() < kMostVisitors;
    entries.push_back({room ? listener_.get() : -1, POLLIN, 0});
    for (const Visitor& visitor : visitors_)
      entries.push_back({visitor.socket.get(), POLLIN | POLLRDHUP, 0});
    ::poll(entries.data(), entries.size(), deadline.pollMilliseconds());
  }

  void admit() {
    for (int n = 0; n < kMostAccepted && visitors_.size() < kMostVisitors; ++n) {
      Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!socket && outOfDescriptors(errno)) failErrno("cannot let the other ranks in");
      if (!socket) return;
      if (isOfThisUser(socket)) invite(std::move(socket));
    }
  }

  void invite(Fd socket) {
    const Invitation invitation{.keyed = key_ ? 1U : 0U, .challenge = randomNonce()};
    sendNow(socket, bytesOf(invitation));
    visitors_.push_back({std::move(socket), invitation.challenge});
  }

  /// False: it is gone, or does not belong here.
  bool hear(Visitor& visitor) {
    Visit visit{.magic = 0};
    const auto got = receiveNow(visitor.socket, std::as_writable_bytes(std::span(&visit, 1)));
    if (!got) return false;
    if (*got == 0) return true;
    if (*got != sizeof visit || visit.magic != kMagic || visitor.rank >= 0) return false;
    if (!equalInConstantTime(visit.proof,
                             key_.proof(visitor.challenge, visit.rank, visit.worldSize)))
      return refuse(visitor, {.answer = Answer::otherKey});
    const auto world = static_cast<std::uint32_t>(worldSize_);
    if (visit.worldSize != world || visit.rank >= world)
      return refuse(visitor, {.answer = Answer::otherWorld, .worldSize = world});
    const int rank = static_cast<int>(visit.rank);
    if ((missing() & rankBit(rank)) == 0) return refuse(visitor, {.answer = Answer::taken});
    visitor.rank = rank;
    return true;
  }

  static bool refuse(const Visitor& visitor, const Reply& reply) {
    sendNow(visitor.socket, bytesOf(reply));
    return false;
  }

  void tellAll(const Reply& reply) const {
    for (const Visitor& visitor : visitors_) sendNow(visitor.socket, bytesOf(reply));
  }

  int worldSize_;
  VisitKey key_;
  Fd listener_;
  std::list<Visitor> visitors_;
};

// ---- the others ----

[[noreturn]] void failKey(int blame, std::string_view whose) {
  throw Error(ErrorCode::keyExchange, blame, {},
              fmt::format("{}: give every rank the same (Options::psk)", whose));
}

/// The message that comes next; nothing if the host goes away, or is none.
template <class Message>
std::optional<Message> receive(const Fd& socket, Deadline deadline) {
  Message message;
  if (!waitFor(socket, POLLIN, deadline) ||
      receiveNow(socket, std::as_writable_bytes(std::span(&message, 1))) != sizeof message ||
      message.magic != kMagic)
    return std::nullopt;
  return message;
}

/// The host's answer; nothing if it is not there, or went away.
std::optional<Reply> visit(const Rendezvous& place, const VisitKey& key, Deadline deadline) {
  const UnixAddress address = addressOf(place);
  const Fd socket = openUnix();
  if (::connect(socket.get(), address.get(), address.size()) != 0 || !isOfThisUser(socket))
    return std::nullopt;
  const auto invitation = receive<Invitation>(socket, deadline);
  if (!invitation) return std::nullopt;
  if (key && invitation->keyed == 0)
    failKey(0, "rank 0 has no pre-shared key, or another process of this user plays it");
  if (!key && invitation->keyed != 0)
    failKey(place.rank, "rank 0 has a pre-shared key, this rank none");
  const auto rank = static_cast<std::uint32_t>(place.rank);
  const auto world = static_cast<std::uint32_t>(place.worldSize);
  const Visit visit{
      .rank = rank, .worldSize = world, .proof = key.proof(invitation->challenge, rank, world)};
  if (!sendNow(socket, bytesOf(visit))) return std::nullopt;
  return receive<Reply>(socket, deadline);
}

std::string await(const Rendezvous& place, Deadline deadline) {
  // Rank 0 tells whom it missed when its time is over; it may have begun a little later.
  constexpr auto kGrace = 500ms;
  Deadline patience;
  if (deadline.at() < Clock::time_point::max() - kGrace)
    patience = Deadline::in(deadline.at() - Clock::now() + kGrace);
  const VisitKey key(place);
  for (Clock::duration pause = 1ms;; pause = std::min<Clock::duration>(2 * pause, 50ms)) {
    if (const auto reply = visit(place, key, patience)) {
      switch (reply->answer) {
        case Answer::text:
          return {reply->text.data(), ::strnlen(reply->text.data(), reply->text.size())};
        case Answer::missing:
          failMissing(reply->missing & allRanks(place.worldSize), place.worldSize);
        case Answer::otherWorld:
          throw Error(ErrorCode::mismatch, 0, {},
                      fmt::format("rank {} was told of {} ranks, rank 0 of {}; do two jobs use the "
                                  "same name at once (LOCKSTEP_JOB)?",
                                  place.rank, place.worldSize, reply->worldSize));
        case Answer::taken:
          throw Error(ErrorCode::mismatch, place.rank, {},
                      fmt::format("another process is rank {} of this job already; do two jobs use "
                                  "the same name at once (LOCKSTEP_JOB)?",
                                  place.rank));
        case Answer::otherKey:
          failKey(place.rank, "this rank has another pre-shared key than rank 0");
      }
    }
    if (deadline.passed()) failMissing(rankBit(0), place.worldSize);
    std::this_thread::sleep_until(std::min(Clock::now() + pause, deadline.at()));
  }
}

}  // namespace

std::string socketNameOf(const Rendezvous& place) {
  return fmt::format("lockstep-job-{}-{:016x}", ::geteuid(), hashOf(place.name));
}

std::string meetAt(const Rendezvous& place, const std::function<std::string()>& text,
                   Deadline deadline) {
  return place.rank == 0 ? Host(place).serve(text, deadline) : await(place, deadline);
}

}  // namespace lockstep
