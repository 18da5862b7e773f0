// Independent pieces of work on a few threads.
#include "executor/cuda/in_parallel.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace lockstep::cuda {
namespace {

TEST(InParallel, DoesEachPieceOnce) {
  for (const std::size_t count : {0, 1, 2, 100})
    for (const int threads : {0, 1, 2, 7}) {
      std::vector<std::atomic<int>> done(count);
      inParallel(count, threads, [&](std::size_t i) { ++done[i]; });
      for (const auto& times : done) EXPECT_EQ(times, 1);
    }
}

TEST(InParallel, OneThreadIsTheCallers) {
  inParallel(3, 1, [me = std::this_thread::get_id()](std::size_t) {
    EXPECT_EQ(std::this_thread::get_id(), me);
  });
}

TEST(InParallel, ThrowsTheErrorOfTheLowestNumberInEveryRun) {
  for (int run = 0; run < 200; ++run) try {
      inParallel(20, 4, [](std::size_t i) {
        if (i == 3) std::this_thread::yield();
        if (i >= 3) throw std::runtime_error(std::to_string(i));
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "3");
    }
}

TEST(InParallel, BeginsNothingAfterAnError) {
  std::atomic<int> begun = 0;
  EXPECT_THROW(inParallel(1000, 1,
                          [&](std::size_t) {
                            ++begun;
                            throw std::runtime_error("");
                          }),
               std::runtime_error);
  EXPECT_EQ(begun, 1);
}

}  // namespace
}  // namespace lockstep::cuda
