// Mixture of experts: every token reaches each rank that holds one of its experts, once, and what
// comes back is added up.
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/world.hpp"
#include <lockstep/lockstep.hpp>

namespace lockstep::testing {
namespace {

/// What every rank could draw of every other: the routing of one step.
struct Step {
  std::size_t tokens = 0;
  std::vector<std::int32_t> chosen;
  std::vector<float> weights;
};

Step draw(int rank, unsigned round, int experts, std::size_t topK) {
  std::mt19937 random(round * 100 + static_cast<unsigned>(rank));
  Step step;
  step.tokens = round % 4 == 3 && rank == 1 ? 0 : random() % 200;
  for (std::size_t i = 0; i < step.tokens * topK; ++i) {
    step.chosen.push_back(static_cast<std::int32_t>(random() % (experts + 1U)) - 1);
    step.weights.push_back(static_cast<float>(random() % 8));
  }
  return step;
}

/// Small whole numbers: sums are exact.
float element(int rank, std::size_t token, std::size_t i) {
  return static_cast<float>((static_cast<std::size_t>(rank) * 5 + token * 3 + i) % 11);
}

/// The output of an expert for a token: exact, and different for each expert.
float outputOf(int expert, float input) {
  return input + static_cast<float>(expert);
}

void playLayer(Communicator& comm, int rank, int perRank, std::size_t topK, std::size_t hidden) {
  const int experts = perRank * comm.worldSize();
  Experts layer(comm, experts, static_cast<int>(topK), hidden, DataType::f32);
  for (unsigned round = 0; round < 8; ++round) {
    const Step mine = draw(rank, round, experts, topK);
    std::vector<float> tokens(mine.tokens * hidden), out(tokens.size(), -1);
    for (std::size_t t = 0; t < mine.tokens; ++t)
      for (std::size_t i = 0; i < hidden; ++i) tokens[t * hidden + i] = element(rank, t, i);
    layer.dispatch(tokens.data(), mine.tokens, mine.chosen.data(), mine.weights.data());

    // What has come is what the others' routing says, each token once.
    std::size_t row = 0;
    const auto* rows = static_cast<const float*>(layer.tokens());
    for (int r = 0; r < comm.worldSize(); ++r) {
      const Step theirs = draw(r, round, experts, topK);
      std::size_t from = 0;
      for (std::size_t t = 0; t < theirs.tokens; ++t) {
        bool here = false;
        for (std::size_t k = 0; k < topK; ++k)
          here = here || (theirs.chosen[t * topK + k] >= 0 &&
                          theirs.chosen[t * topK + k] / perRank == rank);
        if (!here) continue;
        for (std::size_t i = 0; i < hidden; ++i)
          if (rows[row * hidden + i] != element(r, t, i))
            require(false, fmt::format("row {} (token {} of rank {}) is wrong", row, t, r));
        ++row;
        ++from;
      }
      require(layer.receivedFrom()[static_cast<std::size_t>(r)] == from, "a count is wrong");
    }
    require(layer.received() == row, "more has come than was sent");

    std::vector<float> results(layer.received() * hidden, 0);
    for (int e = 0; e < layer.local(); ++e)
      for (const Experts::Choice& choice : layer.of(e))
        for (std::size_t i = 0; i < hidden; ++i)
          results[choice.token * hidden + i] +=
              choice.weight * outputOf(rank * perRank + e, rows[choice.token * hidden + i]);
    layer.combine(results.data(), out.data());

    for (std::size_t t = 0; t < mine.tokens; ++t)
      for (std::size_t i = 0; i < hidden; ++i) {
        float wanted = 0;
        for (std::size_t k = 0; k < topK; ++k)
          if (mine.chosen[t * topK + k] >= 0)
            wanted += mine.weights[t * topK + k] *
                      outputOf(mine.chosen[t * topK + k], tokens[t * hidden + i]);
        if (out[t * hidden + i] != wanted)
          require(false, fmt::format("element {} of token {} is {}, not {}", i, t,
                                     out[t * hidden + i], wanted));
      }
  }
}

TEST(Experts, TokensGoOnceToEachRankAndComeBackSummed) {
  for (const Mode mode : {Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast})
    for (const int world : {1, 2, 3, 5})
      for (const std::size_t topK : {1, 2, 7}) {
        SCOPED_TRACE(fmt::format("{}, {} ranks, top {}", name(mode), world, topK));
        EXPECT_EQ(failures(runRanks(
                      Kind::threads, world, optionsOf(mode),
                      [&](Communicator& comm, int rank) { playLayer(comm, rank, 3, topK, 33); })),
                  "");
      }
  EXPECT_EQ(
      failures(runRanks(Kind::processes, 3, optionsOf(Mode::cc),
                        [&](Communicator& comm, int rank) { playLayer(comm, rank, 2, 4, 1024); })),
      "");
}

/// Two experts of a token on one rank cost one copy.
TEST(Experts, OneCopyPerRankNotPerExpert) {
  constexpr std::size_t kTokens = 64, kHidden = 512;
  const auto outcomes =
      runRanks(Kind::processes, 2, optionsOf(Mode::cc), [&](Communicator& comm, int rank) {
        Experts layer(comm, 8, 4, kHidden, DataType::f16);
        const std::vector<std::uint16_t> tokens(kTokens * kHidden);
        std::vector<std::int32_t> chosen;
        for (std::size_t i = 0; i < kTokens * 4; ++i)  // all four experts of the other rank
          chosen.push_back(static_cast<std::int32_t>((1 - rank) * 4 + static_cast<int>(i % 4)));
        layer.dispatch(tokens.data(), kTokens, chosen.data(), nullptr);
        const std::size_t rows = kTokens * kHidden * 2, choices = kTokens * 4 * 8, counts = 16;
        require(comm.counters().sealed == rows + choices + counts,
                fmt::format("sealed {} bytes", comm.counters().sealed));
        require(layer.of(3).size() == kTokens && layer.of(3)[5].weight == 1, "a choice is wrong");
      });
  EXPECT_EQ(failures(outcomes), "");
}

/// Nobody waits for the tokens of a rank that has no memory for them.
TEST(Experts, ADispatchThatFailsOnOneRankEndsOnAll) {
  constexpr std::size_t kHidden = std::size_t{1} << 24, kTokens = std::size_t{1} << 20;
  const auto outcomes =
      runRanks(Kind::processes, 2, optionsOf(Mode::p2p), [&](Communicator& comm, int rank) {
        Experts layer(comm, 2, 1, kHidden, DataType::f64);
        const std::vector<std::int32_t> chosen(kTokens, 1);
        const double unread = 0;  // 2^47 bytes of it cannot be had
        layer.dispatch(&unread, rank == 0 ? kTokens : 0, chosen.data(), nullptr);
      });
  EXPECT_EQ(outcomes[0].code, ErrorCode::system) << describe(outcomes);
  EXPECT_EQ(outcomes[1].code, ErrorCode::aborted) << describe(outcomes);
  EXPECT_EQ(outcomes[1].blamed, 0) << describe(outcomes);
}

TEST(Experts, BadArgumentsAndDisagreementAreNamed) {
  const auto outcomes =
      runRanks(Kind::threads, 2, optionsOf(Mode::p2p), [&](Communicator& comm, int rank) {
        const auto refused = [](ErrorCode code, const char* part, auto call) {
          try {
            call();
          } catch (const Error& error) {
            require(
                error.code() == code && std::string(error.what()).find(part) != std::string::npos,
                error.what());
            return;
          }
          require(false, std::string("not refused: ") + part);
        };
        const auto bad = ErrorCode::invalidArgument;
        refused(bad, "evenly", [&] { Experts(comm, 3, 1, 8, DataType::f32); });
        refused(bad, "65536 for each rank", [&] { Experts(comm, 131072, 1, 8, DataType::f32); });
        refused(bad, "top-k", [&] { Experts(comm, 2, 0, 8, DataType::f32); });
        refused(bad, "0 elements", [&] { Experts(comm, 2, 1, 0, DataType::f32); });
        Experts layer(comm, 4, 1, 8, DataType::f32);
        const float row[8] = {};
        const std::int32_t beyond = 4, none = -1;
        refused(bad, "expert 4", [&] { layer.dispatch(row, 1, &beyond, nullptr); });
        refused(bad, "null", [&] { layer.dispatch(nullptr, 1, &none, nullptr); });
        refused(bad, "not one of this rank's", [&] { static_cast<void>(layer.of(2)); });
        layer.dispatch(row, 1, &none, nullptr);
        float out[8] = {1, 1};
        layer.combine(nullptr, out);
        require(out[0] == 0 && layer.received() == 0, "nothing was sent");
        Experts other(comm, 4, 1, rank == 0 ? 8U : 9U, DataType::f32);
        refused(ErrorCode::mismatch, "disagree", [&] { other.dispatch(row, 0, nullptr, nullptr); });
      });
  EXPECT_EQ(failures(outcomes), "");
}

}  // namespace
}  // namespace lockstep::testing
