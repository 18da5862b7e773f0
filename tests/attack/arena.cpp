#include "attack/arena.hpp"

#include <stdexcept>

#include "base/clock.hpp"
#include "support/shared_segments.hpp"

namespace lockstep::testing {

using namespace std::chrono_literals;
using shm::Protocol;

Arena::Arena(int world, Mode mode, const std::string& algorithm, const std::string& protocol)
    : view_(std::vector<std::byte*>(static_cast<std::size_t>(world))) {
  Options options = optionsOf(mode);
  options.timeout = 500ms;
  options.algorithm = algorithm;
  options.protocol = protocol;
  const Segments others = Segments::mapped();
  ranks_ = Communicator::createInProcess(world, options);
  // A message to the next rank tells which segment is whose.
  const auto outcomes = play([&](Communicator& comm, int rank) {
    std::uint8_t byte = 0;
    Group group;
    group.send(comm, &byte, 1, DataType::u8, (rank + 1) % world)
        .receive(comm, &byte, 1, DataType::u8, (rank + world - 1) % world);
    group.start().wait();
  });
  require(failures(outcomes).empty(), describe(outcomes));
  const SharedView unordered(Segments::mapped(others).writable);
  require(unordered.world() == world, "segments are not where they were expected");
  std::vector<std::byte*> byRank(static_cast<std::size_t>(world));
  for (int i = 0; i < world; ++i)
    for (int r = 0; r < world; ++r)
      if (unordered.flag({i, (r + 1) % world, Protocol::ll, 0}).load() != 0)
        byRank[static_cast<std::size_t>(r)] = unordered.segment(i);
  view_ = SharedView(byRank);
}

std::vector<Outcome> Arena::play(const std::function<void(Communicator&, int rank)>& what) {
  return playRanks(Kind::threads, static_cast<int>(ranks_.size()),
                   [&](int rank) { what(ranks_[static_cast<std::size_t>(rank)], rank); });
}

Words Arena::flagsOf(int rank) const {
  Words words;
  for (int channel = 0; channel <= view_.world(); ++channel)
    for (const Protocol protocol : kAllProtocols)
      for (std::size_t slot = 0; slot < shm::slotsOf(protocol); ++slot) {
        const Spot at{rank, channel, protocol, slot};
        if (!isLines(protocol)) {
          words.push_back(&view_.flag(at));
          continue;
        }
        for (shm::Line& line : view_.lines(at)) words.push_back(&line.flag);
      }
  return words;
}

Words Arena::creditsOf(int rank) const {
  Words words;
  for (int writer = 0; writer < view_.world(); ++writer)
    for (const int channel : {rank, view_.world()})
      for (const Protocol protocol : kAllProtocols)
        for (shm::Word& word : view_.credits({writer, channel, protocol, 0}, rank))
          words.push_back(&word);
  return words;
}

void Before::awaitChange() const {
  for (const Deadline deadline = Deadline::in(20s); !deadline.passed();)
    for (const auto& [word, value] : words_)
      if (word->load() != value) return;
  throw std::runtime_error("nobody wrote anything");
}

}  // namespace lockstep::testing
