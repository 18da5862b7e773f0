#include "bootstrap/meeting_id.hpp"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bootstrap/peers.hpp"
#include "bootstrap/worlds.hpp"
#include <lockstep/error.hpp>

namespace lockstep {
namespace {

constexpr const char* kHex = "0123456789abcdef0123456789abcdef";

ErrorCode codeOf(const std::string& text) {
  try {
    checkMeetingPoint(text);
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::internal;
}

TEST(MeetingId, RoundTrips) {
  for (const std::string address : {"127.0.0.1:1", "10.1.2.3:65535", "::1:4242", "fd00::12:9"}) {
    const std::string text = "lockstep1:" + address + ":" + kHex;
    EXPECT_EQ(MeetingId::parse(text).text(), text);
    EXPECT_NO_THROW(checkMeetingPoint(text));
  }
}

TEST(MeetingId, TakesAddressAndPortApart) {
  const MeetingId id = MeetingId::parse(std::string("lockstep1:fd00::12:9:") + kHex);
  EXPECT_EQ(id.address.host(), "fd00::12");
  EXPECT_EQ(id.address.port(), 9);
  EXPECT_EQ(id.token[1], std::byte{0x23});
}

TEST(MeetingId, RejectsEverythingElse) {
  const std::string hex = kHex;
  const std::string good = "lockstep1:127.0.0.1:80:" + hex;
  std::vector<std::string> malformed{"",
                                     ":",
                                     ":::",
                                     "lockstep1:",
                                     hex,
                                     "lockstep3:127.0.0.1:80:" + hex,
                                     "lockstep1:127.0.0.1:0:" + hex,
                                     "lockstep1:127.0.0.1:65536:" + hex,
                                     "lockstep1:127.0.0.1:080:" + hex,
                                     "lockstep1:127.0.0.1:+80:" + hex,
                                     "lockstep1:127.0.0.1:-1:" + hex,
                                     "lockstep1:127.0.0.1::" + hex,
                                     "lockstep1:127.0.0.1:99999999999999999999:" + hex,
                                     "lockstep1::80:" + hex,
                                     "lockstep1:127.1:80:" + hex,
                                     "lockstep1:0x7f.0.0.1:80:" + hex,
                                     "lockstep1:localhost:80:" + hex,
                                     "lockstep1:0.0.0.0:80:" + hex,
                                     "lockstep1::::80:" + hex,
                                     "lockstep1:300.0.0.1:80:" + hex,
                                     "lockstep1:127.0.0.1:80:0123456789ABCDEF0123456789abcdef",
                                     "lockstep1:127.0.0.1\0:80:" + hex,
                                     " " + good,
                                     good + " ",
                                     good + "\n",
                                     good + "0",
                                     std::string("lockstep1:127.0.0.1\0x:80:", 25) + hex,
                                     std::string(100000, 'a'),
                                     "lockstep1:" + std::string(200, '1') + ":80:" + hex};
  for (std::size_t cut = 0; cut < good.size(); ++cut) malformed.push_back(good.substr(0, cut));
  for (const std::string& text : malformed)
    EXPECT_EQ(codeOf(text), ErrorCode::invalidArgument) << text.substr(0, 200);
}

TEST(MeetingId, ShowsNothingThatATerminalObeys) {
  try {
    MeetingId::parse("lockstep1:\x1b[31m");
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::AllOf(testing::HasSubstr("lockstep1:"),
                                         testing::Not(testing::HasSubstr("\x1b"))));
  }
}

TEST(MeetingId, SaysWhetherItIsKeyed) {
  const std::string rest = std::string(":fd00::12:9:") + kHex;
  EXPECT_FALSE(MeetingId::parse("lockstep1" + rest).keyed);
  EXPECT_TRUE(MeetingId::parse("lockstep2" + rest).keyed);
  EXPECT_EQ(MeetingId::parse("lockstep2" + rest).text(), "lockstep2" + rest);
}

TEST(OpenMeetingPoint, NamesWhereItListens) {
  EXPECT_THAT(openMeetingPoint(""), testing::StartsWith("lockstep1:127.0.0.1:"));
  EXPECT_NO_THROW(checkMeetingPoint(openMeetingPoint("localhost")));
  EXPECT_NE(openMeetingPoint(""), openMeetingPoint(""));
}

TEST(OpenMeetingPoint, RejectsAddressesThatAreNotOfOneInterfaceHere) {
  // 192.0.2.0/24 is nobody's (RFC 5737).
  for (const char* address : {"0.0.0.0", "::", "192.0.2.1", "no such host"}) {
    try {
      openMeetingPoint(address);
      ADD_FAILURE() << address;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalidArgument) << e.what();
    }
  }
}

/// Forks a child that exits as programs do. False: it does not get there.
bool childExits() {
  const pid_t child = ::fork();
  if (child == 0) std::exit(7);
  int status = 0;
  const auto until = Deadline::in(std::chrono::seconds(20));
  pid_t ended = 0;
  while ((ended = ::waitpid(child, &status, WNOHANG)) == 0 && !until.passed())
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  if (ended == 0) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  return ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

// The child has a copy of the meeting point but not its thread: there is nothing to wait for.
TEST(OpenMeetingPoint, LetsAForkedChildExit) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "to a sanitizer, what the thread had that no child has is a leak of the child's";
#endif
  openMeetingPoint("");
  EXPECT_TRUE(childExits());
}

// Nor may it wait for a thread of its parent that was just opening one. In a process of its own:
// the meeting points stay until it ends.
TEST(OpenMeetingPoint, LetsAChildExitThatWasForkedMeanwhile) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own locks do not survive such a fork";
#endif
  const auto outcomes = test::runProcesses(1, [](int) -> std::string {
    std::atomic<bool> stop{false};
    std::thread opening([&] {
      for (int i = 0; i < 200 && !stop; ++i) openMeetingPoint("");
    });
    bool all = true;
    for (int i = 0; i < 30 && all; ++i) all = childExits();
    stop = true;
    opening.join();
    return all ? "" : "a child did not exit";
  });
  EXPECT_EQ(outcomes[0], "");
}

}  // namespace
}  // namespace lockstep
