// Steps that all ranks take or none, and calls that never return; no driver needed.
#include "transport/cuda/together.hpp"

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bootstrap/worlds.hpp"
#include "transport/cuda/watched.hpp"

namespace lockstep::cuda {
namespace {

using test::runThreads;
using test::soon;
using testing::Each;
using testing::HasSubstr;

constexpr int kWorld = 3;

/// All ranks take one step; what each has to say about how it went.
std::vector<std::string> step(const std::function<void(int rank)>& part) {
  const auto ends = joinThreads(kWorld);
  return runThreads(kWorld, [&](int rank) -> std::string {
    Peers& peers = *ends[static_cast<std::size_t>(rank)];
    const auto refusal = together(peers, soon(), [&] { part(rank); });
    if (!refusal) return "done";
    try {
      raiseTogether(peers, soon(), *refusal);
    } catch (const PeersUnreachable& e) {
      return std::string("unreachable, ") + e.what();
    } catch (const Error& e) {
      return fmt::format("{}, {}, {}", name(e.code()), e.rank(), e.what());
    }
  });
}

TEST(Together, IsDoneWhenAllHaveDoneTheirPart) {
  EXPECT_THAT(step([](int) {}), Each("done"));
}

TEST(Together, AllGetWhatTheLowestRankThrew) {
  EXPECT_THAT(step([](int rank) {
                if (rank > 0) throw Error(ErrorCode::unsupported, fmt::format("{} cannot", rank));
              }),
              Each("unsupported, 1, rank 1: 1 cannot"));
}

TEST(Together, KeepsUnreachablePeersApart) {
  EXPECT_THAT(step([](int rank) {
                if (rank == 2) throw PeersUnreachable(rank, "no path");
              }),
              Each("unreachable, rank 2: no path"));
}

TEST(Together, PassesOnAnyException) {
  EXPECT_THAT(step([](int rank) {
                if (rank == 0) throw std::runtime_error("odd\n");
              }),
              Each(HasSubstr("system, 0, rank 0: odd")));
}

TEST(Together, BoundsWhatIsSaid) {
  const auto said = step([](int rank) {
    if (rank == 0) throw Error(ErrorCode::system, std::string(std::size_t{3} << 20, 'x'));
  });
  EXPECT_THAT(said, Each(HasSubstr("xxx")));
  EXPECT_LT(said[0].size(), 1000u);
}

TEST(Together, TellsWhatEachRankSays) {
  const auto ends = joinThreads(kWorld);
  EXPECT_THAT(runThreads(kWorld,
                         [&](int rank) -> std::string {
                           std::vector<int> all;
                           const auto refusal = togetherTell<int>(
                               *ends[static_cast<std::size_t>(rank)], soon(),
                               [&] { return 10 * rank; }, all);
                           return !refusal && all == std::vector{0, 10, 20} ? "" : "wrong";
                         }),
              Each(""));
}

TEST(Together, IsNotFooledByAnswersOfAnotherSize) {
  const auto ends = joinThreads(2);
  EXPECT_THAT(runThreads(2,
                         [&](int rank) -> std::string {
                           Peers& peers = *ends[static_cast<std::size_t>(rank)];
                           if (rank == 1) {
                             together(peers, soon(), [] {});
                             return "same version";
                           }
                           std::vector<int> all;
                           const auto refusal = togetherTell<int>(
                               peers, soon(), [] { return 1; }, all);
                           return refusal ? refusal->text : "no refusal";
                         }),
              Each(HasSubstr("same version")));
}

TEST(Watched, ReturnsWhatTheStepDid) {
  int value = 0;
  EXPECT_TRUE(watched([&] { value = 1; }, soon()));
  EXPECT_EQ(value, 1);
  EXPECT_THROW(watched([] { throw Error(ErrorCode::system, "no"); }, soon()), Error);
}

TEST(Watched, HasLetGoOfWhatTheStepHeldWhenItReturns) {
  const auto held = std::make_shared<int>();
  EXPECT_TRUE(watched([held] {}, soon()));
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Watched, LeavesBehindAStepThatDoesNotReturnWithAllThatItHolds) {
  const auto gate = std::make_shared<std::promise<void>>();
  const auto ended = std::make_shared<std::promise<void>>();
  auto held = std::make_shared<int>(7);
  const std::weak_ptr<int> seen = held;
  EXPECT_FALSE(watched(
      [gate, ended, held] {
        gate->get_future().wait();
        ended->set_value();
      },
      Deadline::in(std::chrono::milliseconds(10))));
  held.reset();
  EXPECT_FALSE(seen.expired());
  gate->set_value();
  ended->get_future().wait();
}

}  // namespace
}  // namespace lockstep::cuda
