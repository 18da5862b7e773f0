// What was moved from has nothing: no rank, no experts, no memory. Whoever calls it all the same is
// told so.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/world.hpp"

namespace lockstep::testing {
namespace {

void expectRefused(const std::string& what, const std::function<void()>& call) {
  SCOPED_TRACE(what);
  try {
    call();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("moved elsewhere"));
  }
}

TEST(Moved, ACommunicatorHasNoRankAndItsCallsAreRefused) {
  auto worlds = Communicator::createInProcess(1, optionsOf(Mode::cc));
  Communicator& from = worlds[0];
  Communicator to = std::move(from);

  EXPECT_EQ(from.rank(), -1);
  EXPECT_EQ(from.worldSize(), 0);
  EXPECT_EQ(from.options().mode, Mode::p2p);
  EXPECT_EQ(from.counters().moved, 0U);
  from.abort();  // nothing

  std::vector<float> data(4);
  const std::vector<std::size_t> one{1}, none{0};
  float* const p = data.data();
  expectRefused("allreduce", [&] { from.allReduce(p, p, 1, DataType::f32); });
  expectRefused("barrier", [&] { from.barrier(); });
  expectRefused("send", [&] { from.send(p, 1, DataType::f32, 0); });
  expectRefused("receive", [&] { from.receive(p, 1, DataType::f32, 0); });
  expectRefused("exchange", [&] {
    from.exchange({p, 1, DataType::f32, 0}, {p + 1, 1, DataType::f32, 0});
  });
  expectRefused("alltoallv",
                [&] { from.allToAllV(p, one, none, p + 1, one, none, DataType::f32); });
  expectRefused("alloc", [&] { from.alloc(1); });
  expectRefused("split", [&] { from.split(0, 0); });
  expectRefused("duplicate", [&] { from.duplicate(); });
  expectRefused("shrink", [&] { from.shrink(); });
  expectRefused("retune", [&] { from.retune("{}", ""); });
  expectRefused("plan", [&] { from.plan(Collective::reduce, 1, DataType::f32, false); });
  expectRefused("cipher", [&] { from.cipher(); });
  expectRefused("keySource", [&] { from.keySource(); });
  expectRefused("ordinaryPath", [&] { from.ordinaryPath(); });
  expectRefused("a group", [&] { Group().send(from, p, 1, DataType::f32, 0); });
  expectRefused("experts", [&] { Experts(from, 1, 1, 1, DataType::f32); });

  to.barrier();
  from = std::move(to);
  from.barrier();
}

TEST(Moved, ExpertsHaveNothing) {
  auto worlds = Communicator::createInProcess(1, optionsOf(Mode::p2p));
  Experts from(worlds[0], 2, 1, 4, DataType::f32);
  const std::vector<float> token(4, 1.0F);
  const std::int32_t chosen = 1;
  from.dispatch(token.data(), 1, &chosen, nullptr);
  Experts to = std::move(from);

  EXPECT_EQ(from.local(), 0);
  EXPECT_EQ(from.received(), 0U);
  EXPECT_TRUE(from.receivedFrom().empty());
  EXPECT_EQ(from.tokens(), nullptr);
  std::vector<float> out(4);
  expectRefused("dispatch", [&] { from.dispatch(token.data(), 1, &chosen, nullptr); });
  expectRefused("of", [&] { static_cast<void>(from.of(0)); });
  expectRefused("combine", [&] { from.combine(token.data(), out.data()); });

  to.combine(to.tokens(), out.data());
  EXPECT_EQ(out, token);
}

TEST(Moved, ABufferIsElsewhere) {
  auto worlds = Communicator::createInProcess(1, optionsOf(Mode::p2p));
  Buffer from = worlds[0].alloc(100);
  void* const data = from.data();
  const Buffer to = std::move(from);
  EXPECT_EQ(from.data(), nullptr);
  EXPECT_EQ(from.size(), 0U);
  EXPECT_EQ(to.data(), data);
  EXPECT_EQ(to.size(), 100U);
}

}  // namespace
}  // namespace lockstep::testing
