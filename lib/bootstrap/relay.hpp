// The meeting point's server: brings ranks together and relays their all-gathers. One thread, one
// poll loop, a non-blocking state machine for each connection, so that no client holds up another.
#pragma once

#include <array>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <poll.h>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "bootstrap/frame.hpp"
#include "bootstrap/join_key.hpp"
#include "bootstrap/token.hpp"

namespace lockstep {

/// Ranks join with a Hello. The n-th waiting joiner of every rank together form a group (so one
/// rank may join again while others still wait in the round before), and from then on take part in
/// that group's all-gathers. A group fails as a whole, once: when a member leaves or gives up
/// waiting, every other member is told why.
///
/// A keyed relay sends a challenge to whoever connects, and takes nothing but a KeyedHello that
/// answers it. Who fails to is told so, disturbs nobody, and stays a stranger.
class Relay {
 public:
  /// How it treats strangers: connections that have not said a valid Hello.
  struct Limits {
    /// One more, and the oldest is dropped, but only once its grace is over: until then newcomers
    /// wait in the backlog.
    std::size_t strangers = 256;
    /// Enough for a rank to say its Hello on a busy machine.
    Clock::duration grace = std::chrono::milliseconds(250);
  };

  /// Serves those who know `token`, and `key` if there is one, at `listener`.
  Relay(Fd listener, const Token& token, std::optional<JoinKey> key)
      : Relay(std::move(listener), token, std::move(key), Limits()) {}
  Relay(Fd listener, const Token& token, std::optional<JoinKey> key, Limits limits);
  ~Relay();

  /// Serves until stop(), or until kLinger after the last connection has closed, if a group had
  /// formed by then. Then everything is closed.
  void run() noexcept;
  /// From any thread.
  void stop() noexcept;

  /// Communicators are often made one after another with the same id: the meeting point outlives
  /// the last of them this long.
  static constexpr std::chrono::seconds kLinger{60};
  /// Time to say a valid Hello, or to leave after having been turned away.
  static constexpr std::chrono::seconds kPatience{10};

 private:
  struct Group;
  struct Connection;
  using Message = std::shared_ptr<const Bytes>;

  void serveOnce();
  void buildPollList(Clock::time_point now);
  int pollTimeout(Clock::time_point now) const;
  bool isOver(Clock::time_point now) const;
  Clock::time_point acceptFrom() const;
  void accept();
  std::size_t strangers() const;
  Connection* oldestStranger() const;
  Fd acceptNow();
  void read(Connection& from);
  void handle(Connection& from, Frame frame);
  void expire(Clock::time_point now);
  void sweep();

  void greet(Connection& stranger, std::span<const std::byte> greeting);
  bool proves(Connection& stranger, const KeyedHello& said) const;
  void admit(Connection& joiner, const Hello& hello);
  bool worldAgrees(Connection& joiner);
  void formGroup(int worldSize);
  void abandonJoin(Connection& from);
  void turnAway(Connection& joiner, const Failure& why);
  bool mustHearOfShortage(const Connection& joiner);
  void tellOfShortage(Connection& joiner);

  void contribute(Connection& from, Bytes payload);
  void abandonGather(Connection& from);
  void leave(Connection& from);
  static void failGroup(Group& group, const Message& why);
  static void tell(const Group& group, const Message& message);
  static void send(Connection& to, Message message);
  static void flush(Connection& to);

  Fd listener_;
  Fd stop_;
  Fd spare_;  ///< given up to let a rank in when there is no other descriptor, to tell it so
  Token token_;
  std::optional<JoinKey> key_;
  Limits limits_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::array<std::deque<Connection*>, kMaxWorld> waiting_;  ///< by rank, first come first
  std::vector<pollfd> pollList_;                            ///< stop, listener, connections
  bool groupFormed_ = false;
  /// Ranks of a world that did not fit into this process's descriptors, and have yet to hear of it.
  RankSet tooMany_ = 0;
  Clock::time_point tooManySince_ = Clock::now();
  Clock::time_point busyAt_ = Clock::now();     ///< when a connection was last open
  Clock::time_point retryFrom_ = Clock::now();  ///< later when accept(2) has failed
};

}  // namespace lockstep
