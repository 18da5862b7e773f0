#include "bench/coordinator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

namespace lockstep::bench {
namespace {

using nlohmann::json;

/// One row, of so many bytes.
json partOf(std::size_t bytes) {
  RunResult part;
  part.contenders.emplace_back().name = "p2p";
  part.rows.emplace_back().bytes = bytes;
  part.seconds = static_cast<double>(bytes);
  return {{"part", part}};
}

/// What becomes of a run of one rank, which says this and goes.
Outcome outcomeOf(const std::vector<json>& said) {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const Launch launch{};
  Children children;
  Coordinator coordinator(launch, children, "");
  coordinator.addLink(Fd(ends[0]));
  Link rank{Fd(ends[1])};
  for (const json& message : said) rank.send(message);
  rank = Link(Fd());
  return coordinator.run();
}

TEST(Coordinator, KeepsWhatWasDoneBeforeARankWent) {
  const Outcome early = outcomeOf({{{"hello", 0}}, partOf(8), partOf(64)});
  EXPECT_FALSE(early.result);
  EXPECT_FALSE(early.errors.empty());
  ASSERT_TRUE(early.finished);
  ASSERT_EQ(early.finished->rows.size(), 2u);
  EXPECT_EQ(early.finished->rows[0].bytes, 8u);
  EXPECT_EQ(early.finished->rows[1].bytes, 64u);
  EXPECT_EQ(early.finished->seconds, 64);
  EXPECT_EQ(early.finished->contenders.size(), 1u);
  EXPECT_FALSE(outcomeOf({{{"hello", 0}}}).finished);
}

}  // namespace
}  // namespace lockstep::bench
