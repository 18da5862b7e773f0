// Out of file descriptors: the error says so, and blames no rank that did nothing wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "bootstrap/worlds.hpp"

namespace lockstep::test {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Each;
using testing::HasSubstr;

/// Leaves this process `count` more descriptors to open.
void allowMore(int count) {
  const Fd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = static_cast<rlim_t>(next.get() + count);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) throw std::runtime_error("setrlimit");
}

/// A meeting point in a process of its own, with room for `count` connections.
class TightMeetingPoint {
 public:
  explicit TightMeetingPoint(int count)
      : child_(
            [&](int) -> std::string {
              const std::string opened = openMeetingPoint("");
              allowMore(count);
              if (::write(id_.in.get(), opened.data(), opened.size()) < 0) return "write";
              id_.in.reset();
              end_.in.reset();
              char none;
              while (::read(end_.out.get(), &none, 1) < 0) {
              }
              return {};
            },
            0, gate_) {
    gate_.open();
    id_.in.reset();
    char part[256];
    for (ssize_t n = 0; (n = ::read(id_.out.get(), part, sizeof part)) > 0;)
      id.append(part, static_cast<std::size_t>(n));
  }
  ~TightMeetingPoint() {
    end_.in.reset();
    EXPECT_EQ(child_.outcome(), "");
  }

  std::string id;

 private:
  Pipe id_, end_;
  Gate gate_;
  Child child_;
};

TEST(Descriptors, AWorldThatTheMeetingPointCannotHoldHearsWhy) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UBSan looks at objects through a pipe, and takes its failure for a bad object";
#endif
  const TightMeetingPoint meeting(3);
  const auto join = [&](int rank) {
    return runCaught(
        [&](int) { return gatherOnce(*joinProcesses(meeting.id, rank, 7, soon()), 0); }, rank);
  };
  for (int attempt = 0; attempt < 2; ++attempt)
    EXPECT_THAT(runThreads(7, join), Each(AllOf(HasSubstr("cannot let all 7 ranks in"),
                                                HasSubstr("raise 'ulimit -n'"))));
  // A world that fits is welcome.
  EXPECT_THAT(
      runThreads(
          3, [&](int rank) { return gatherOnce(*joinProcesses(meeting.id, rank, 3, soon()), 0); }),
      Each(""));
}

TEST(Descriptors, ARankThatCannotConnectWithAllOthersSaysWhy) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UBSan looks at objects through a pipe, and takes its failure for a bad object";
#endif
  const std::string id = openMeetingPoint("");
  for (int more = 2; more < 14; more += 3) {
    const auto outcomes = runProcesses(6, [&](int rank) {
      if (rank == 2) allowMore(more);
      return gatherOnce(*joinProcesses(id, rank, 6, soon()), 0);
    });
    EXPECT_THAT(outcomes[2], HasSubstr("no file descriptor left; raise 'ulimit -n'"));
    for (const int other : {0, 1, 3, 4, 5})
      EXPECT_THAT(outcomes[std::size_t(other)], HasSubstr("rank 2")) << more;
  }
}

}  // namespace
}  // namespace lockstep::test
