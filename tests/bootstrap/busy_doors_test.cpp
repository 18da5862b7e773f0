// Doors that strangers keep busy: whoever queues up there, a rank looks at its deadline, and hears
// what has become of the others.
#include <algorithm>
#include <array>
#include <deque>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "bootstrap/rendezvous.hpp"
#include "bootstrap/socket.hpp"
#include "bootstrap/unix_mesh.hpp"
#include "bootstrap/unix_socket.hpp"
#include "bootstrap/worlds.hpp"

namespace lockstep::test {
namespace {

using testing::HasSubstr;

/// Empty if nobody lets it in right now.
Fd connectTo(const UnixAddress& address) {
  Fd socket = openUnix();
  return ::connect(socket.get(), address.get(), address.size()) == 0 ? std::move(socket) : Fd();
}

/// Rank 0's door, and what becomes of it: rank 1 never comes.
class LonelyDoor {
 public:
  Fd visit() const { return connectTo(UnixAddress("lockstep-" + toHex(door_.address().name))); }

  std::string connect(const std::function<void()>& check, Deadline deadline) {
    const std::vector<MeshAddress> all{door_.address(), {randomToken(), randomToken()}};
    try {
      door_.connect(0, all, nullptr, check, deadline);
    } catch (const Error& error) {
      return error.what();
    }
    return "all have come";
  }

 private:
  MeshDoor door_;
};

/// In the queue, or let in: whoever is sent away is hung up on.
bool isThere(const Fd& visitor) {
  return !waitFor(visitor, 0, Deadline::in(0s));
}

constexpr int kStrangers = 100;

/// They say nonsense, so that nobody waits for what they say. How many have not been looked at when
/// rank 0 has given up.
std::ptrdiff_t leftInTheQueue(const std::function<void()>& check, Deadline deadline,
                              const char* error) {
  LonelyDoor door;
  std::deque<Fd> strangers;
  for (int i = 0; i < kStrangers; ++i) {
    strangers.push_back(door.visit());
    sendNow(strangers.back(), std::as_bytes(std::span("hello")));
  }
  EXPECT_THAT(door.connect(check, deadline), HasSubstr(error));
  return std::ranges::count_if(strangers, isThere);
}

TEST(BusyDoor, ADeadlineHoldsWhoeverQueues) {
  EXPECT_EQ(leftInTheQueue([] {}, Deadline::in(0s), "rank 1 has not connected"), kStrangers);
}

/// What brings the news at its n-th call.
std::function<void()> newsAt(int n) {
  return [n, calls = 0]() mutable {
    if (++calls == n) throw Error(ErrorCode::peerDied, "rank 1 has left");
  };
}

TEST(BusyDoor, BadNewsIsHeardWhoeverQueues) {
  EXPECT_EQ(leftInTheQueue(newsAt(4), soon(), "rank 1 has left"), kStrangers - 4);
}

TEST(BusyDoor, BadNewsIsHeardWhileAVisitorIsSilent) {
  LonelyDoor door;
  const Fd silent = door.visit();
  const auto check = [&, news = newsAt(2)] {
    if (!isThere(silent)) throw Error(ErrorCode::timeout, "it was sent away first");
    news();
  };
  EXPECT_EQ(door.connect(check, soon()), "rank 1 has left");
}

/// Users other than this one, who connect to `address` as fast as they can, until they are killed
/// or half a minute is over.
class Flood {
 public:
  explicit Flood(const std::string& address) {
    constexpr long kNobody = 65534;
    for (pid_t& child : children_) {
      child = ::fork();
      if (child != 0) continue;
      if (::syscall(SYS_setuid, kNobody) != 0) ::_exit(1);
      const UnixAddress name(address);
      std::deque<Fd> open;
      for (const auto until = Deadline::in(30s); !until.passed();) {
        open.push_back(connectTo(name));
        if (open.size() > 500) open.clear();
      }
      ::_exit(0);
    }
  }
  ~Flood() {
    for (const pid_t child : children_) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
  }
  bool isOver() const {
    return std::ranges::all_of(children_, [](pid_t child) {
      siginfo_t ended{};
      ::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT);
      return ended.si_pid != 0;
    });
  }

 private:
  std::array<pid_t, 2> children_{};
};

TEST(BusyRendezvous, ADeadlineHoldsWhoeverQueues) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be another user";
  const Rendezvous place{"busy " + std::to_string(::getpid()), 0, 2};
  const Flood flood(socketNameOf(place));
  EXPECT_THROW(meetAt(
                   place, [] { return "here"; }, Deadline::in(200ms)),
               Error);
  EXPECT_FALSE(flood.isOver());
}

}  // namespace
}  // namespace lockstep::test
