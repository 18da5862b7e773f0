// What a rank may say over its link to another, without libFuzzer.
#include <atomic>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "fuzz/mesh_message_target.hpp"

namespace lockstep::test {
namespace {

std::vector<std::byte> randomBytes(std::mt19937& random, std::size_t most) {
  std::vector<std::byte> bytes(random() % most);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() % (random() % 3 == 0 ? 256 : 4));
  return bytes;
}

TEST(MeshMessages, SurviveSeededFuzzing) {
  std::mt19937 random(11);
  for (int i = 0; i < 20000; ++i) fuzz::meshMessages(randomBytes(random, 200));
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

/// Says the same over and over, as fast as it is taken, until the end of the test.
class Flood {
 public:
  Flood(const Fd& socket, std::span<const std::byte> message)
      : thread_([this, &socket, message] {
          for (const auto until = Deadline::in(std::chrono::seconds(10)); !stop_ && !ended_;
               ended_ = until.passed())
            fuzz::sendWith(socket, message, 0);
        }) {}
  ~Flood() {
    stop_ = true;
    thread_.join();
  }
  bool ended() const { return ended_; }

 private:
  std::atomic<bool> stop_{false}, ended_{false};
  std::thread thread_;
};

TEST(MeshMessages, AFloodKeepsNobodyFromItsDeadline) {
  const MeshNote old{.kind = NoteKind::proposal, .from = 1, .number = 0};
  const auto message = std::as_bytes(std::span(&old, 1));
  const auto soonOver = [] { return Deadline::in(std::chrono::milliseconds(50)); };
  const std::array<int, 2> members{0, 1};
  {
    Pair pair;  // rank 1 waits for a socket of rank 0
    std::swap(pair.links[0], pair.links[1]);
    const Flood flood(pair.theirs, message);
    EXPECT_THROW(connectGroup(
                     pair.links, 1, members, 1, [] {}, soonOver()),
                 Error);
    EXPECT_FALSE(flood.ended());
  }
  Pair pair;
  const Flood flood(pair.theirs, message);
  std::uint32_t shrinks = 0;
  EXPECT_THROW(shrinkOverLinks(
                   pair.links, 0, shrinks, [](const auto&, const auto&) {}, [] {}, soonOver()),
               Error);
  EXPECT_FALSE(flood.ended());
}

}  // namespace
}  // namespace lockstep::test
