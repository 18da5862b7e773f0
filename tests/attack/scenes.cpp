#include "attack/scenes.hpp"

#include <array>
#include <map>

#include "collectives/registry.hpp"

namespace lockstep::testing {

using shm::Protocol;

namespace {

std::vector<const schedule::Algorithm*> channelAlgorithms() {
  std::vector<const schedule::Algorithm*> all;
  for (const schedule::Algorithm* a : schedule::algorithms())
    if (a->edges == schedule::Edges::channels) all.push_back(a);
  return all;
}

/// Below n.
std::size_t any(std::mt19937& random, std::size_t n) {
  return random() % n;
}

int drawWorld(std::mt19937& random) {
  return 2 + static_cast<int>(any(random, 3));
}

Scene drawTransfer(std::mt19937& random) {
  constexpr std::array<std::size_t, 4> kCounts{7, 600, 5000, 18000};  // last: three slots
  return {.world = drawWorld(random), .count = kCounts[any(random, 4)] + any(random, 5)};
}

Scene drawCollective(std::mt19937& random, const schedule::Algorithm* algorithm) {
  Scene s;
  s.algorithm = algorithm;
  s.mode = any(random, 2) == 0 ? Mode::cc : Mode::ccMulticast;
  s.world = drawWorld(random);
  if (contractOf(algorithm->collective).rooted)
    s.root = static_cast<int>(any(random, static_cast<std::size_t>(s.world)));
  return s;
}

}  // namespace

Scene drawScene(std::mt19937& random, bool several) {
  static const auto algorithms = channelAlgorithms();
  if (!several && any(random, 5) == 0) return drawTransfer(random);
  Scene s = drawCollective(random, algorithms[any(random, algorithms.size())]);
  s.depth = several ? 4 : 1 + static_cast<int>(any(random, 4));
  const std::size_t tiles = (several ? 9 : 4) + any(random, 4);
  switch (several ? 1 + any(random, 2) : any(random, 4)) {
    case 0:  // small: fused, where that is done
      s.protocol = any(random, 2) == 0 ? Protocol::ll : Protocol::brief;
      s.tileBytes = shm::kLlBytes;
      s.count = 1 + any(random, 40);
      break;
    case 1:
      if (!several && any(random, 2) == 0) s.protocol = Protocol::brief;
      s.tileBytes = 64;
      s.count = 16 * tiles - any(random, 8);
      break;
    case 2:
      s.protocol = Protocol::simple;
      s.tileBytes = 256;
      s.count = 64 * tiles - any(random, 8);
      break;
    default:  // several records in a message
      s.protocol = Protocol::simple;
      s.tileBytes = shm::kSlotBytes;
      s.count = 9000 + any(random, 1000);
  }
  if (!contractOf(s.algorithm->collective).hasData) s.count = 0;
  return s;
}

Scene drawLongScene(std::mt19937& random) {
  if (any(random, 8) == 0)
    return {.world = drawWorld(random), .count = 9 * 8192 + any(random, 5000)};
  constexpr std::array kCollectives{Collective::broadcast, Collective::scatter, Collective::gather,
                                    Collective::reduce};
  Scene s = drawCollective(random, schedule::findAlgorithm(kCollectives[any(random, 4)], "direct",
                                                           schedule::Edges::channels));
  s.protocol = static_cast<Protocol>(any(random, shm::kProtocols));
  s.tileBytes = 64;
  s.count = 16 * (2 * shm::slotsOf(s.protocol) + any(random, 8));
  return s;
}

SteppedWorld& steppedWorld(int world, bool second) {
  static std::map<std::pair<int, bool>, std::unique_ptr<SteppedWorld>> worlds;
  auto& made = worlds[{world, second}];
  if (made == nullptr) made = std::make_unique<SteppedWorld>(world);
  return *made;
}

}  // namespace lockstep::testing
