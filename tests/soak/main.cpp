// soak [SECONDS [SEED]]: random calls like those of tests/conformance/property_test.cpp, one
// communicator after another from seeds nobody has tried yet, until the time is up (60 s). Ends at
// the first wrong one with status 1, and says which seed it was; `soak 0 SEED` plays that one
// again.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "conformance/random_calls.hpp"

namespace {

constexpr std::size_t kCalls = 100;  ///< of a communicator
using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace lockstep::testing;
  const double limit = argc > 1 ? std::atof(argv[1]) : 60;
  std::uint64_t seed =
      argc > 2 ? std::strtoull(argv[2], nullptr, 10) : std::uint64_t{std::random_device()()} << 20;
  const auto start = Clock::now();
  double told = 0;
  for (std::size_t played = 1;; ++played, ++seed) {
    const Session session = drawSession(seed, kCalls);
    const double before = secondsSince(start);
    const std::string failure = failureOf(session);
    if (!failure.empty()) {
      std::printf("%s\nagain: soak 0 %llu\n", failure.c_str(),
                  static_cast<unsigned long long>(seed));
      return 1;
    }
    const double now = secondsSince(start);
    if (now - told > 10 || now >= limit) {
      std::printf("%6.0f s: %zu communicators, %zu calls; the last of %.2f s: %s\n", now, played,
                  played * kCalls, now - before, session.name().c_str());
      std::fflush(stdout);
      told = now;
    }
    if (now >= limit) return 0;
  }
}
