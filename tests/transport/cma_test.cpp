// Reading and writing the memory of another process, and what is said when that cannot be.
#include "transport/cma/cma.hpp"

#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.hpp"
#include <lockstep/error.hpp>

namespace lockstep {
namespace {

/// A forked process that waits to be ended, with a copy of our memory.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    while (pid_ == 0) ::pause();
  }
  ~Sleeper() { end(); }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

std::uint64_t addressOf(const void* data) {
  return reinterpret_cast<std::uintptr_t>(data);
}

TEST(CrossMemoryAttach, ReadsAndWritesAnotherProcess) {
  std::vector<int> data(1 << 20);
  std::iota(data.begin(), data.end(), 5);
  const Sleeper other;  // has the numbers from 5 on
  std::vector<int> got(data.size());
  if (!cma::mayRead(other.pid(), addressOf(data.data()), got.data(), sizeof(int)))
    GTEST_SKIP() << "this machine forbids process_vm_readv";
  const auto numbers = data;
  const std::size_t bytes = data.size() * sizeof(int);
  data.assign(data.size(), -1);  // ours; the other's stays
  cma::read({other.pid(), 1}, addressOf(data.data()), got.data(), bytes);
  EXPECT_EQ(got, numbers);
  const std::vector<int> sevens(data.size(), 7);
  cma::write({other.pid(), 1}, addressOf(data.data()), sevens.data(), bytes);
  cma::read({other.pid(), 1}, addressOf(data.data()), got.data(), bytes);
  EXPECT_EQ(got, sevens);
  EXPECT_EQ(data.front(), -1);
}

TEST(CrossMemoryAttach, ADeadProcessIsADeadPeer) {
  Sleeper other;
  const pid_t pid = other.pid();
  other.end();
  int here = 0;
  EXPECT_FALSE(cma::mayRead(pid, addressOf(&here), &here, sizeof here));
  try {
    cma::read({pid, 3}, addressOf(&here), &here, sizeof here);
    FAIL() << "read a dead process";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::peerDied);
    EXPECT_EQ(error.rank(), 3);
  }
}

/// The number of a dead process has become another's, which has memory at the same place.
TEST(CrossMemoryAttach, AnotherProcessWithTheSameNumberIsADeadPeer) {
  int data = 5;
  const Sleeper another;
  int got = 0;
  if (!cma::mayRead(another.pid(), addressOf(&data), &got, sizeof got))
    GTEST_SKIP() << "this machine forbids process_vm_readv";
  Sleeper dead;
  const Fd ended(static_cast<int>(::syscall(SYS_pidfd_open, dead.pid(), 0)));
  if (!ended) GTEST_SKIP() << "this kernel has no pidfd_open";
  cma::read({dead.pid(), 3, ended.get()}, addressOf(&data), &got, sizeof got);  // it lives
  cma::write({dead.pid(), 3, ended.get()}, addressOf(&data), &got, sizeof got);
  dead.end();

  const cma::Process process{another.pid(), 3, ended.get()};
  const int seven = 7;
  const auto expectDead = [&](const auto& copy) {
    try {
      copy();
      ADD_FAILURE() << "took another process for the rank's";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::peerDied);
      EXPECT_EQ(error.rank(), 3);
      EXPECT_NE(std::string(error.what()).find("rank 3 has died"), std::string::npos);
    }
  };
  expectDead([&] { cma::read(process, addressOf(&data), &got, sizeof got); });
  expectDead([&] { cma::read(process, 16, &got, sizeof got); });
  expectDead([&] { cma::write(process, addressOf(&data), &seven, sizeof seven); });
  cma::read({another.pid(), 3}, addressOf(&data), &got, sizeof got);
  EXPECT_EQ(got, 5) << "written to another process";
}

TEST(CrossMemoryAttach, MemoryThatIsNotThereIsToldAsTheRanksDeath) {
  int here = 0;
  EXPECT_FALSE(cma::mayRead(::getpid(), 16, &here, sizeof here));
  EXPECT_FALSE(cma::mayRead(-1, addressOf(&here), &here, sizeof here));
  try {
    cma::read({::getpid(), 0}, 16, &here, sizeof here);
    FAIL() << "read address 16";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::peerDied);
    EXPECT_EQ(error.rank(), 0);
    EXPECT_NE(std::string(error.what()).find("no longer there"), std::string::npos);
  }
}

}  // namespace
}  // namespace lockstep
