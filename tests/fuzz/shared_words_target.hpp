// Sealed ranks whose shared memory is the input's between any two of their steps: what they return
// is right, or they fail, or wait.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "attack/scenes.hpp"
#include "fuzz/input.hpp"

namespace lockstep::fuzz {

/// Small numbers mean most; and what is near to what is there.
inline void overwrite(Input& input, shm::Word& word) {
  const std::uint64_t old = word.load();
  switch (input.byte() % 6) {
    case 0:
      return word.store(old + 1);
    case 1:
      return word.store(old - 1);
    case 2:
      return word.store(~std::uint64_t{0} - input.byte());
    case 3:
      return word.store(old ^ std::uint64_t{1} << input.byte() % 64);
    default:
      return word.store(input.byte() % 40);
  }
}

/// One stroke against anything that is shared.
class Stroke {
 public:
  Stroke(Input& input, const testing::SteppedWorld& world)
      : input_(input), world_(world), view_(world.view()) {}

  void strike() {
    switch (input_.byte() % 8) {
      case 0:
        return overwrite(input_, view_.credit(spot(), rank()));
      case 1: {
        const testing::Spot at = spot();
        if (!isLines(at.protocol)) return overwrite(input_, view_.flag(at));
        const auto lines = view_.lines(at);
        return overwrite(input_, lines[input_.below(lines.size())].flag);
      }
      case 2:
        return view_.setFlags(spot(), input_.byte() % 40);
      case 3:
        return view_.setStamp(spot(), std::uint64_t{1} << input_.byte() % 64);
      case 4:
        return overwrite(input_, controlWord());
      case 5:
        return flipWritten();
      case 6:
        return replay();
      default:
        std::byte* segment = view_.segment(rank());
        segment[input_.below(65536) * 64 % shm::Layout(view_.world()).bytes() +
                input_.byte() % 64] ^= static_cast<std::byte>(input_.byte());
    }
  }

 private:
  int rank() { return static_cast<int>(input_.below(static_cast<std::size_t>(view_.world()))); }
  testing::Spot spot() {
    testing::Spot at{.writer = rank(),
                     .channel = static_cast<int>(input_.byte()) % (view_.world() + 1),
                     .protocol = testing::kAllProtocols[input_.byte() % shm::kProtocols]};
    at.slot = input_.byte() % shm::slotsOf(at.protocol);
    return at;
  }
  shm::Word& controlWord() {
    auto* words = reinterpret_cast<shm::Word*>(&view_.control(rank()));
    return words[input_.byte() % (sizeof(shm::ControlArea) / sizeof *words)];
  }
  const testing::Message* written() {
    const auto& all = world_.history();
    return all.empty() ? nullptr : &all[all.size() - 1 - input_.byte() % all.size()];
  }
  void flipWritten() {
    const testing::Message* m = written();
    if (m == nullptr || m->content.empty()) return;
    view_.at(m->at, input_.below(65536) % m->content.size()) ^=
        static_cast<std::byte>(input_.byte());
  }
  /// A message where it was or elsewhere, as the one that was or as the next.
  void replay() {
    const testing::Message* m = written();
    if (m == nullptr) return;
    const unsigned how = input_.byte();
    testing::Spot to = m->at;
    if (how % 4 == 1) to.slot = (to.slot + 1) % shm::slotsOf(to.protocol);
    if (how % 4 == 2) to.channel = static_cast<int>(how / 4) % (view_.world() + 1);
    if (how % 4 == 3) to.writer = static_cast<int>(how / 4) % view_.world();
    view_.write(to, m->content);
    view_.setFlags(to, how % 8 < 4 ? m->step : m->step + shm::slotsOf(to.protocol));
  }

  Input& input_;
  const testing::SteppedWorld& world_;
  const testing::SharedView& view_;
};

/// How many ranks returned what is wrong, or left it in a buffer.
inline std::ptrdiff_t misled(std::span<const std::byte> bytes,
                             testing::TagCheck check = testing::TagCheck::on) {
  Input input(bytes);
  std::mt19937 random(static_cast<std::uint32_t>(input.below(65536)));
  const testing::Scene scene = testing::drawScene(random, input.byte() % 4 == 0);
  testing::SteppedWorld& world = testing::steppedWorld(scene.world);
  world.renew(scene, {}, check);
  for (int call = 0; call < 3 && !input.empty(); ++call) {
    world.begin();
    const auto fates = world.drive(random, [&](int, const std::vector<testing::Message>&) {
      if (input.empty()) return false;
      std::size_t strokes = input.byte() % 4;
      for (std::size_t n = strokes; n > 0; --n) Stroke(input, world).strike();
      return strokes > 0;
    });
    for (const ErrorCode code : world.errors())
      demand(code == ErrorCode::integrity || code == ErrorCode::mismatch);
    const auto wrong = std::ranges::count(fates, testing::Fate::wrong) +
                       std::ranges::count(fates, testing::Fate::tainted);
    if (wrong != 0 || std::ranges::count(fates, testing::Fate::right) != scene.world) return wrong;
  }
  return 0;
}

inline void sharedWords(std::span<const std::byte> bytes) {
  demand(misled(bytes) == 0);
}

}  // namespace lockstep::fuzz
