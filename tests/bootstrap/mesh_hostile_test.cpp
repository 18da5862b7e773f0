// What a rank may say over its link to another, without libFuzzer.
#include <array>
#include <functional>
#include <random>

#include <gtest/gtest.h>

#include "bootstrap/worlds.hpp"
#include "fuzz/mesh_message_target.hpp"

namespace lockstep::test {
namespace {

std::vector<std::byte> randomBytes(std::mt19937& random, std::size_t most) {
  std::vector<std::byte> bytes(random() % most);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() % (random() % 3 == 0 ? 256 : 4));
  return bytes;
}

// In a process of its own: descriptors are counted, and threads of tests before may still have
// some.
TEST(MeshMessages, SurviveSeededFuzzing) {
  const auto outcomes = runProcesses(1, [](int) -> std::string {
    std::mt19937 random(11);
    for (int i = 0; i < 20000; ++i) fuzz::meshMessages(randomBytes(random, 200));
    return "";
  });
  EXPECT_EQ(outcomes[0], "");
}

/// Two ranks' link, as one of them has it, and the other's end.
struct Pair {
  Pair() : links(2) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
      throw std::runtime_error("socketpair");
    links[1].socket = Fd(ends[0]);
    theirs = Fd(ends[1]);
  }
  std::vector<Link> links;
  Fd theirs;
};

TEST(MeshMessages, OneDescriptorIsTakenAtMost) {
  const Pair pair;
  const auto before = fuzz::freeDescriptors();
  for (const std::size_t bytes : {std::size_t{8}, std::size_t{0}}) {
    fuzz::sendWith(pair.theirs, std::vector<std::byte>(bytes), 3);
    std::array<std::byte, 8> room{};
    const Received got = receiveMessage(pair.links[1], room);
    EXPECT_EQ(got.bytes, bytes);
    EXPECT_EQ(static_cast<bool>(got.fd), bytes != 0);
  }
  EXPECT_EQ(fuzz::freeDescriptors(), before);
}

TEST(MeshMessages, AContributionDoesNotOutgrowWhatItSays) {
  const Pair pair;
  MeshNote head{.kind = NoteKind::part, .from = 1, .number = 0, .bytes = 100000};
  std::vector<std::byte> message(sizeof head + (std::size_t{32} << 10));
  for (const std::uint64_t said : {100000, 10, 10, 10}) {
    head.bytes = said;
    std::memcpy(message.data(), &head, sizeof head);
    fuzz::sendWith(pair.theirs, message, 0);
  }
  try {
    gatherOverLinks(
        pair.links, 0, 0, {}, [] {}, Deadline::in(std::chrono::seconds(20)));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bootstrap) << error.what();
  }
}

/// Notes that nobody asked for, and a call whose time is over. How many of them it has not looked
/// at by its end.
int leftOf(int notes, int rank, const std::function<void(std::span<const Link>)>& call) {
  Pair pair;
  if (rank == 1) std::swap(pair.links[0], pair.links[1]);
  const MeshNote old{.kind = NoteKind::proposal, .from = 1, .number = 0};
  for (int i = 0; i < notes; ++i) fuzz::sendWith(pair.theirs, std::as_bytes(std::span(&old, 1)), 0);
  EXPECT_THROW(call(pair.links), Error);
  const Link& link = pair.links[static_cast<std::size_t>(1 - rank)];
  int left = 0;
  for (; peekNote(link).status == Received::Status::message; ++left) discardMessage(link);
  return left;
}

// Otherwise whoever sends them as fast as they are read would hold the call for as long.
TEST(MeshMessages, AFloodKeepsNobodyFromItsDeadline) {
  constexpr int kNotes = 2 * kMostDropped;
  const std::array<int, 2> members{0, 1};
  EXPECT_EQ(leftOf(kNotes, 1,
                   [&](std::span<const Link> links) {
                     connectGroup(
                         links, 1, members, 1, [] {}, Deadline::in(std::chrono::seconds(0)));
                   }),
            kNotes - kMostDropped);
  EXPECT_EQ(leftOf(kNotes, 0,
                   [](std::span<const Link> links) {
                     std::uint32_t shrinks = 0;
                     shrinkOverLinks(
                         links, 0, shrinks, [](const auto&, const auto&) {}, [] {},
                         Deadline::in(std::chrono::seconds(0)));
                   }),
            kNotes - kMostDropped);
}

// Otherwise whoever says again and again that it failed would have the others try for as long.
TEST(MeshMessages, NobodyBuildsOnceTheTimeIsOver) {
  Pair pair;
  MeshNote decision{.kind = NoteKind::decision, .from = 1, .round = 1};
  decision.sets = {0, rankBit(1), 0};  // its try was spoilt
  for (std::uint64_t i = 0; i < 4; ++i) {
    decision.number = (std::uint64_t{1} << 32) + i;
    fuzz::sendWith(pair.theirs, std::as_bytes(std::span(&decision, 1)), 0);
  }
  int builds = 0;
  const auto build = [&](const auto&, const auto&) { ++builds; };
  std::uint32_t shrinks = 0;
  EXPECT_THROW(shrinkOverLinks(
                   pair.links, 0, shrinks, build, [] {}, Deadline::in(std::chrono::seconds(0))),
               Error);
  EXPECT_EQ(builds, 0);
}

}  // namespace
}  // namespace lockstep::test
