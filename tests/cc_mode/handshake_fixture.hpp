// The key exchange between threads, over an all-gather in memory that an attacker may change.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "cc_mode/aead_fixture.hpp"
#include "cc_mode/keys/handshake.hpp"

namespace lockstep::test {

using Messages = std::vector<Bytes>;

/// Changes what `receiver` gets in `round` (0, 1, 2).
using Tamper = std::function<void(int round, int receiver, Messages& all)>;

/// An all-gather between threads that gives up after a while: a hang is a failed test.
class Carrier {
 public:
  Carrier(int world, Tamper tamper) : world_(world), tamper_(std::move(tamper)) {}

  Messages gather(int rank, int round, std::span<const std::byte> mine) {
    std::unique_lock lock(mutex_);
    Messages& all = rounds_[round];
    all.resize(static_cast<std::size_t>(world_));
    all[static_cast<std::size_t>(rank)].assign(mine.begin(), mine.end());
    ++arrived_[round];
    changed_.notify_all();
    if (!changed_.wait_for(lock, std::chrono::seconds(60),
                           [&] { return arrived_[round] == world_; }))
      throw Error(ErrorCode::timeout, "a rank did not come to a round of the key exchange");
    Messages copy = all;
    if (tamper_) tamper_(round, rank, copy);
    return copy;
  }
  /// What all ranks sent, by round.
  const std::map<int, Messages>& rounds() const { return rounds_; }

 private:
  const int world_;
  const Tamper tamper_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, Messages> rounds_;
  std::map<int, int> arrived_;
};

struct Member {
  cc::HandshakeParameters parameters;
  std::shared_ptr<const cc::Aead> aead;
};

struct Outcome {
  std::optional<cc::KeyRing> keys;
  cc::Lineage lineage;
  std::optional<Error> error;
  int rounds = 0;
};

struct Session {
  std::vector<Outcome> outcomes;
  std::map<int, Messages> said;
};

inline const Bytes kPsk(32, std::byte{0x5a});

inline std::vector<Member> members(int world) {
  std::vector<Member> all;
  for (int rank = 0; rank < world; ++rank)
    all.push_back({{.rank = rank, .worldSize = world, .psk = kPsk}, cc::createAead()});
  return all;
}

inline Session run(const std::vector<Member>& all, Tamper tamper = {}) {
  Carrier carrier(static_cast<int>(all.size()), std::move(tamper));
  Session session;
  session.outcomes.resize(all.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < all.size(); ++i)
    threads.emplace_back([&, i] {
      Outcome& outcome = session.outcomes[i];
      try {
        outcome.keys.emplace(cc::handshake(
            all[i].parameters, all[i].aead,
            [&](std::span<const std::byte> mine) {
              return carrier.gather(static_cast<int>(i), outcome.rounds++, mine);
            },
            &outcome.lineage));
      } catch (const Error& e) {
        outcome.error = e;
      }
    });
  for (std::thread& thread : threads) thread.join();
  session.said = carrier.rounds();
  return session;
}

inline void expectRefusal(const Outcome& outcome) {
  EXPECT_FALSE(outcome.keys);
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), ErrorCode::keyExchange) << outcome.error->what();
  EXPECT_EQ(outcome.rounds, 3) << "every rank takes part in every round";
}

inline void expectAllRefuse(const Session& session) {
  for (std::size_t rank = 0; rank < session.outcomes.size(); ++rank) {
    SCOPED_TRACE(testing::Message() << "rank " << rank);
    expectRefusal(session.outcomes[rank]);
  }
}

inline std::string textOf(const Session& session, std::size_t rank) {
  const auto& error = session.outcomes.at(rank).error;
  return error ? error->what() : "no error";
}

/// Rank 0 gets a changed message of rank 1. After the last round only the victim can know.
inline void expectVictimRefuses(const Session& session, int round) {
  if (round < 2)
    expectAllRefuse(session);
  else
    expectRefusal(session.outcomes[0]);
}

}  // namespace lockstep::test
