// A process that forks while a call is under way, by whatever way: the child has the call, but no
// keys. It must put nothing into shared memory, least of all a record under a key of zeros.
#include <array>
#include <atomic>
#include <csignal>
#include <functional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cc_mode/keys/key_ring.hpp"
#include "support/shared_segments.hpp"
#include "support/world.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::testing {
namespace {

constexpr std::size_t kBytes = std::size_t{1} << 20;  // more than slots take

pid_t rawClone() {
  return static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

const std::array<pid_t (*)(), 2> kForks{&::fork, &rawClone};

bool isRefused(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.code() == ErrorCode::invalidArgument;
  }
  return false;
}

/// Two ranks of this process, and what they share.
struct Pair {
  explicit Pair(const char* cipher, Mode mode = Mode::cc) {
    const Segments before = Segments::mapped();
    Options options = optionsOf(mode);
    options.cipher = cipher;
    ranks = Communicator::createInProcess(2, options);
    segments = Segments::mapped(before).writable;
  }
  /// Without allocating: signal handlers ask.
  std::uint64_t sharedBytes() const {
    std::uint64_t sum = 14695981039346656037U;  // FNV-1a, by words
    for (const std::byte* segment : segments)
      for (std::size_t at = 0; at < size; at += sizeof sum) {
        std::uint64_t word;
        std::memcpy(&word, segment + at, sizeof word);
        sum = (sum ^ word) * 1099511628211U;
      }
    return sum;
  }
  std::vector<Communicator> ranks;
  std::vector<std::byte*> segments;
  std::size_t size = shm::Layout(2).bytes();
};

class Forks : public ::testing::TestWithParam<const char*> {};

TEST_P(Forks, LeaveWhatWasStartedToTheParent) {
  for (const auto fork : kForks) {
    Pair pair(GetParam());
    ASSERT_EQ(pair.segments.size(), 2U);
    const std::vector<std::byte> data(kBytes);
    std::vector<std::byte> got(kBytes, std::byte{1});
    Group group;
    group.send(pair.ranks[0], data.data(), data.size(), DataType::u8, 1);
    Work work = group.start();
    const std::uint64_t before = pair.sharedBytes();
    const pid_t child = fork();
    if (child == 0) ::_exit(isRefused([&] { work.wait(); }) ? 0 : 1);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(pair.sharedBytes(), before);
    std::thread receiver([&] { pair.ranks[1].receive(got.data(), kBytes, DataType::u8, 0); });
    work.wait();
    receiver.join();
    EXPECT_EQ(got, data);
  }
}

/// What a handler knows.
struct Handled {
  const Pair* pair = nullptr;
  pid_t (*fork)() = nullptr;
  pid_t child = -1;
  int status = -1;
  bool untouched = false;
  std::atomic<bool> done{false};
} handled;

void forkInHandler(int) {
  const std::uint64_t before = handled.pair->sharedBytes();
  handled.child = handled.fork();
  if (handled.child == 0) return;  // and the call goes on, in the child
  ::waitpid(handled.child, &handled.status, 0);
  handled.untouched = handled.pair->sharedBytes() == before;
  handled.done = true;
}

/// `act` on rank 0, in which a signal handler forks once rank 0 waits for rank 1; then `answer` on
/// rank 1.
void expectRefusedInTheChild(const char* cipher, Mode mode, pid_t (*fork)(),
                             const std::function<void(Communicator&)>& act,
                             const std::function<void(Communicator&)>& answer) {
  Pair pair(cipher, mode);
  handled.pair = &pair;
  handled.fork = fork;
  handled.done = false;
  std::atomic<bool> begun{false};
  std::thread peer([&, main = ::pthread_self()] {
    while (!begun) std::this_thread::yield();
    // Its slots are full when nothing changes any more; should this be early, so much the better.
    for (std::uint64_t last = 0, now = pair.sharedBytes(); now != last;
         last = std::exchange(now, pair.sharedBytes()))
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ::pthread_kill(main, SIGUSR1);
    while (!handled.done) std::this_thread::yield();
    answer(pair.ranks[1]);
  });
  begun = true;
  const bool refused = isRefused([&] { act(pair.ranks[0]); });
  if (handled.child == 0) ::_exit(refused ? 0 : 1);
  peer.join();
  EXPECT_FALSE(refused);
  EXPECT_EQ(handled.status, 0);
  EXPECT_TRUE(handled.untouched);
}

class ForksInHandlers : public Forks {
 protected:
  void SetUp() override {
    struct sigaction action {};
    action.sa_handler = forkInHandler;
    ASSERT_EQ(::sigaction(SIGUSR1, &action, &old_), 0);
  }
  void TearDown() override { ::sigaction(SIGUSR1, &old_, nullptr); }

 private:
  struct sigaction old_ {};
};

TEST_P(ForksInHandlers, LeaveASendToTheParent) {
  const std::vector<std::byte> data(kBytes);
  std::vector<std::byte> got(kBytes);
  for (const auto fork : kForks)
    expectRefusedInTheChild(
        GetParam(), Mode::cc, fork,
        [&](Communicator& c) { c.send(data.data(), kBytes, DataType::u8, 1); },
        [&](Communicator& c) { c.receive(got.data(), kBytes, DataType::u8, 0); });
}

TEST_P(ForksInHandlers, LeaveACollectiveToTheParent) {
  std::array<std::vector<std::int32_t>, 2> data;
  data.fill(std::vector<std::int32_t>(kBytes / 4, 1));
  const auto reduce = [&](Communicator& c) {
    auto& mine = data[static_cast<std::size_t>(c.rank())];
    c.allReduce(mine.data(), mine.data(), mine.size(), DataType::i32);
  };
  for (const Mode mode : {Mode::cc, Mode::ccMulticast, Mode::ccMasked})
    for (const auto fork : kForks) expectRefusedInTheChild(GetParam(), mode, fork, reduce, reduce);
}

INSTANTIATE_TEST_SUITE_P(Ciphers, Forks, ::testing::Values("ipsec-mb", "openssl"),
                         [](const auto& cipher) {
                           return std::string(cipher.param[0] == 'i' ? "IpsecMb" : "OpenSsl");
                         });
INSTANTIATE_TEST_SUITE_P(Ciphers, ForksInHandlers, ::testing::Values("ipsec-mb", "openssl"),
                         [](const auto& cipher) {
                           return std::string(cipher.param[0] == 'i' ? "IpsecMb" : "OpenSsl");
                         });

/// A key refuses after it has sealed, so nothing can fork in between; and so do those made of it.
TEST(ForkedKeys, SealNothingWhateverEpochTheyAreOf) {
  for (const char* cipher : {"ipsec-mb", "openssl"}) {
    const auto aead = cc::createAead(cipher);
    const std::array<std::byte, cc::kKeyBytes> bytes{std::byte{1}};
    cc::LiveKey live(aead, bytes, 16);
    live.reserve(1, 128);
    const pid_t child = rawClone();
    if (child == 0) {
      std::array<std::byte, 64> plain{}, cipherText{};
      cc::Tag tag;
      const bool refused = isRefused([&] {
        aead->seal(live.expanded(), cc::nonceOf(0), {}, cc::ConstPrivateBytes(plain.data(), 64),
                   cc::PrivateBytes(cipherText.data(), 64), tag);
      });
      const bool reserved = !isRefused([&] { live.reserve(1, 128); });
      ::_exit(refused && !reserved && cipherText == plain ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << cipher;
  }
}

}  // namespace
}  // namespace lockstep::testing
