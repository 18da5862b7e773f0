#include <charconv>
#include <string>
#include <vector>

#include "bench/application.hpp"
#include "bench/output.hpp"
#include "bench/worker.hpp"

namespace {

/// The number in a hidden argument, which only ccbench itself writes.
int numberIn(const std::string& text) {
  int value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace lockstep::bench;
  occupyStandardStreams();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 3 && arguments[0] == kRankCommand)
    return runRank(numberIn(arguments[1]), lockstep::Fd(numberIn(arguments[2])));
  if (arguments.size() == 2 && arguments[0] == kMpiRankCommand) return runMpiRank(arguments[1]);
  return runApplication(arguments);
}
