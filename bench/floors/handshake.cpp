#include "bench/floors/handshake.hpp"

#include <barrier>
#include <cstdio>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/clock.hpp"
#include "base/fail.hpp"
#include "bench/floors/team.hpp"
#include "bench/statistics.hpp"
#include "cc_mode/keys/handshake.hpp"
#include "cc_mode/keys/hkdf.hpp"
#include "cc_mode/keys/x25519.hpp"
#include <lockstep/lockstep.hpp>

namespace lockstep::floors {
namespace {

using Message = std::vector<std::byte>;

constexpr double kTargetSeconds = 0.05;  ///< of 8 ranks
constexpr int kTargetRanks = 8;
/// Protects nothing: as long as a real one is.
const Message kPsk(cc::kMinPskBytes, std::byte{0x5a});

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// An all-gather between threads that copies and waits, and does nothing else.
class Carrier {
 public:
  explicit Carrier(int ranks) : messages_(static_cast<std::size_t>(ranks)), barrier_(ranks) {}

  void wait() { barrier_.arrive_and_wait(); }
  std::vector<Message> gather(int rank, std::span<const std::byte> mine) {
    messages_[static_cast<std::size_t>(rank)].assign(mine.begin(), mine.end());
    wait();
    std::vector<Message> all = messages_;
    wait();
    return all;
  }

 private:
  std::vector<Message> messages_;
  std::barrier<> barrier_;
};

struct Took {
  double seconds = 0;     ///< until the last rank has its keys
  double cpuSeconds = 0;  ///< of all ranks
};

/// One key exchange of ranks that begin together.
class Exchange {
 public:
  explicit Exchange(int ranks) : ranks_(ranks), carrier_(ranks) {}

  Took run() {
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks_; ++rank) threads.emplace_back([this, rank] { join(rank); });
    for (std::thread& thread : threads) thread.join();
    if (failure_) std::rethrow_exception(failure_);
    return took_;
  }

 private:
  void join(int rank) {
    const auto aead = cc::createAead();
    carrier_.wait();
    const auto start = Clock::now();
    const double cpu = cpuSeconds();
    std::exception_ptr failure;
    try {
      const cc::KeyRing keys = cc::handshake(
          {.rank = rank, .worldSize = ranks_, .psk = kPsk}, aead,
          [&](std::span<const std::byte> mine) { return carrier_.gather(rank, mine); });
      count(cpuSeconds() - cpu, secondsSince(start));
    } catch (...) {  // all ranks fail together, or the carrier would wait for one
      const std::scoped_lock lock(mutex_);
      failure_ = std::current_exception();
    }
  }
  void count(double cpu, double seconds) {
    const std::scoped_lock lock(mutex_);
    took_.cpuSeconds += cpu;
    took_.seconds = std::max(took_.seconds, seconds);
  }

  int ranks_;
  Carrier carrier_;
  std::mutex mutex_;
  Took took_;
  std::exception_ptr failure_;
};

double createSeconds(int ranks, Mode mode) {
  Options options;
  options.mode = mode;
  if (mode != Mode::p2p) options.psk = kPsk;
  const auto start = Clock::now();
  const std::vector<Communicator> communicators = Communicator::createInProcess(ranks, options);
  return secondsSince(start);
}

nlohmann::json world(int ranks, int samples) {
  std::vector<double> exchange, cpu, clear, sealed, difference;
  for (int i = 0; i < samples; ++i) {
    const Took took = Exchange(ranks).run();
    exchange.push_back(took.seconds);
    cpu.push_back(took.cpuSeconds / ranks);
    clear.push_back(createSeconds(ranks, Mode::p2p));
    sealed.push_back(createSeconds(ranks, Mode::cc));
    difference.push_back(sealed.back() - clear.back());
  }
  const double middle = bench::median(exchange);
  fmt::print("{:>5} {:>12.2f} {:>12.2f} {:>12.3f} {:>12.2f} {:>12.2f} {:>12.2f}", ranks,
             middle * 1e3, bench::quantile(exchange, 0.9) * 1e3, bench::median(cpu) * 1e3,
             bench::median(clear) * 1e3, bench::median(sealed) * 1e3,
             bench::median(difference) * 1e3);
  if (ranks == kTargetRanks)
    fmt::print("  {} {:.0f} ms", middle < kTargetSeconds ? "below" : "NOT BELOW",
               kTargetSeconds * 1e3);
  fmt::print("\n");
  std::fflush(stdout);
  return {{"ranks", ranks},
          {"seconds", middle},
          {"p90Seconds", bench::quantile(exchange, 0.9)},
          {"cpuSecondsPerRank", bench::median(cpu)},
          {"createClearSeconds", bench::median(clear)},
          {"createSealedSeconds", bench::median(sealed)},
          {"differenceSeconds", bench::median(difference)}};
}

template <class Work>
double secondsOf(int samples, Work work) {
  constexpr int kCalls = 20;
  std::vector<double> batches;
  for (int i = 0; i <= samples; ++i) {
    const auto start = Clock::now();
    for (int call = 0; call < kCalls; ++call) work();
    batches.push_back(secondsSince(start) / kCalls);
  }
  return bench::median(batches);
}

/// A rank does each of these once or more per peer (cc_mode/keys/README.md).
nlohmann::json parts(int samples) {
  const cc::X25519 mine, theirs;
  const auto aead = cc::createAead();
  cc::Hash key{std::byte{1}};
  const auto agree = [&] {
    if (!mine.agree(theirs.publicKey(), key)) fail(ErrorCode::internal, "X25519 refused a key");
  };
  const nlohmann::json took{
      {"x25519Keypair", secondsOf(samples, [] { cc::X25519(); })},
      {"x25519Agree", secondsOf(samples, agree)},
      {"hkdfExpand", secondsOf(samples, [&] { cc::hkdfExpand(key, cc::bytesOf("info"), key); })},
      {"aeadKey", secondsOf(samples, [&] { aead->expand(key); })}};
  fmt::print(
      "one X25519 key pair {:.1f} us, agreement {:.1f}, HKDF key {:.1f}, AES-GCM key made ready "
      "{:.1f}\n",
      took["x25519Keypair"].get<double>() * 1e6, took["x25519Agree"].get<double>() * 1e6,
      took["hkdfExpand"].get<double>() * 1e6, took["aeadKey"].get<double>() * 1e6);
  return took;
}

}  // namespace

nlohmann::json reportHandshake(int samples) {
  fmt::print(
      "\nkey exchange with a pre-shared key, ranks as threads on all cores, ms\n"
      "{:>5} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}\n",
      "ranks", "exchange", "p90", "CPU a rank", "create clear", "create cc", "difference");
  nlohmann::json worlds = nlohmann::json::array();
  for (const int ranks : {2, 4, kTargetRanks, 16}) worlds.push_back(world(ranks, samples));
  return {{"worlds", worlds}, {"partsSeconds", parts(samples)}};
}

}  // namespace lockstep::floors
