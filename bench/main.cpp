#include <algorithm>
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

/// "3,5,7"
std::vector<lockstep::Fd> fdsIn(const std::string& text) {
  std::vector<lockstep::Fd> fds;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    fds.emplace_back(numberIn(text.substr(start, end - start)));
    start = end + 1;
  }
  return fds;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace lockstep::bench;
  occupyStandardStreams();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 3 && arguments[0] == kRankCommand)
    return runRank(numberIn(arguments[1]), lockstep::Fd(numberIn(arguments[2])));
  if (arguments.size() == 2 && arguments[0] == kRankThreadsCommand)
    return runRankThreads(fdsIn(arguments[1]));
  if (arguments.size() == 2 && arguments[0] == kMpiRankCommand) return runMpiRank(arguments[1]);
  return runApplication(arguments);
}
