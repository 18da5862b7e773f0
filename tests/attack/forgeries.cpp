#include "attack/forgeries.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "attack/scenes.hpp"

namespace lockstep::testing {

using shm::Protocol;

/// A trial under way.
struct Forgery::Play {
  std::mt19937 random;
  TagCheck check;
  Trial result;

  std::uint32_t operator()(std::size_t n) { return static_cast<std::uint32_t>(random() % n); }
  SteppedWorld& world() { return steppedWorld(result.scene.world); }
  /// As large, and apart.
  SteppedWorld& twin() { return steppedWorld(result.scene.world, true); }
  /// The first call, which nobody attacks; then the second has begun.
  void prepare(const Scene& scene, Keys keys = {}) {
    result.scene = scene;
    world().renew(scene, keys, check);
    world().playUntouched(random);
    world().begin();
  }
  /// The twin makes both calls.
  void prepareTwin(const Scene& scene, Keys keys) {
    result.scene = scene;
    twin().renew(scene, keys);
    for (int call = 0; call < 2; ++call) twin().playUntouched(random);
  }
  void finish(std::vector<Fate> fates) {
    result.fates = std::move(fates);
    result.errors = world().errors();
  }
};

namespace {

using Play = Forgery::Play;

// ---- what is put in the place of a message ----

using Strike = bool (*)(Play&, const Message&);

/// Some message takes its place; false if there is none, or it is the same.
bool put(Play& play, const Message& target, const std::vector<const Message*>& from) {
  if (from.empty()) return false;
  const Message& other = *from[play(from.size())];
  play.world().view().write(target.at, other.content);
  return other.content != target.content;
}

template <class Suits>
std::vector<const Message*> others(const SteppedWorld& world, const Message& target, Suits suits) {
  std::vector<const Message*> found;
  for (const Message& m : world.history())
    if (m.content.size() == target.content.size() && suits(m)) found.push_back(&m);
  return found;
}

bool sameChannel(const Message& a, const Message& b) {
  return a.at.writer == b.at.writer && a.at.channel == b.at.channel &&
         a.at.protocol == b.at.protocol;
}

bool flip(Play& play, const Message& target, std::size_t from, std::size_t to) {
  if (from == to) return false;
  play.world().view().at(target.at, from + play(to - from)) ^= std::byte{1} << play(8);
  return true;
}

bool flipCipher(Play& play, const Message& target) {
  return flip(play, target, 0, target.plain);
}
bool flipTag(Play& play, const Message& target) {
  return flip(play, target, target.plain, target.content.size());
}
bool replayOlder(Play& play, const Message& target) {
  return put(play, target, others(play.world(), target, [&](const Message& m) {
               return sameChannel(m, target) && m.call < target.call;
             }));
}
bool replaySameSlot(Play& play, const Message& target) {
  return put(play, target, others(play.world(), target, [&](const Message& m) {
               return m.at == target.at && m.step < target.step;
             }));
}
bool spliceChunk(Play& play, const Message& target) {
  return put(play, target, others(play.world(), target, [&](const Message& m) {
               return sameChannel(m, target) && m.call == target.call && m.step != target.step;
             }));
}
bool spliceRank(Play& play, const Message& target) {
  return put(play, target, others(play.world(), target, [&](const Message& m) {
               return !sameChannel(m, target) && m.call == target.call;
             }));
}
/// What another communicator, or the same in another epoch, has at this very place.
bool spliceTwin(Play& play, const Message& target) {
  return put(play, target, others(play.twin(), target, [&](const Message& m) {
               return m.at == target.at && m.step == target.step;
             }));
}
bool swapSlots(Play& play, const Message& target) {
  const auto waiting = others(play.world(), target, [&](const Message& m) {
    return sameChannel(m, target) && m.step != target.step && play.world().isPending(m);
  });
  if (waiting.empty()) return false;
  const Message other = *waiting[play(waiting.size())];
  play.world().view().write(target.at, other.content);
  play.world().view().write(other.at, target.content);
  return true;
}
bool cutOff(Play& play, const Message& target) {
  if (target.plain == 0) return false;
  Bytes content = target.content;
  std::fill(content.begin() + play(target.plain),
            content.begin() + static_cast<std::ptrdiff_t>(target.plain), std::byte{});
  play.world().view().write(target.at, content);
  return content != target.content;
}
/// A shorter record, its tag behind it.
bool shorten(Play& play, const Message& target) {
  if (target.plain == 0) return false;
  Bytes content = target.content;
  const auto tags = content.begin() + static_cast<std::ptrdiff_t>(target.plain);
  const auto end = std::copy(tags, content.end(), content.begin() + play(target.plain));
  std::fill(end, content.end(), std::byte{});
  play.world().view().write(target.at, content);
  return content != target.content;
}
bool noise(Play& play, const Message& target) {
  Bytes content = target.content;
  for (std::byte& b : content) b = static_cast<std::byte>(play(256));
  play.world().view().write(target.at, content);
  return content != target.content;
}
/// What is not sealed beside a message.
bool forgeStamp(Play& play, const Message& target) {
  play.world().view().setStamp(target.at, play.random());
  return true;
}

// ---- when ----

/// Strikes once, right after a message was written, before anybody reads it: some message of the
/// call, or the first after it that can be struck.
void strikeOnce(Play& play, Strike strike) {
  SteppedWorld& world = play.world();
  std::size_t wait = play(world.history().size());
  bool struck = false;
  play.finish(world.drive(play.random, [&](int, const std::vector<Message>& written) {
    for (const Message& m : written) {
      if (wait != 0) {
        --wait;
      } else if (!struck) {
        struck = strike(play, m);
      }
    }
    return false;
  }));
  play.result.live = struck && world.forged() != 0;
}

template <Strike kStrike, bool kMany = false>
void strikeMessage(Play& play) {
  play.prepare(drawScene(play.random, kMany));
  strikeOnce(play, kStrike);
}

void spliceCommunicator(Play& play) {
  const Scene scene = drawScene(play.random);
  play.prepareTwin(scene, {.salt = 1});
  play.prepare(scene, {.salt = 0});
  strikeOnce(play, spliceTwin);
}

/// Under the next epoch's key, whose numbers go on.
void spliceEpoch(Play& play) {
  const Scene scene = drawScene(play.random);
  const bool older = play(2) == 0;
  play.prepareTwin(scene, {.aged = !older});
  play.prepare(scene, {.aged = older});
  strikeOnce(play, spliceTwin);
}

/// Whoever waits for a message is told that it is there.
void forgeFlags(Play& play) {
  play.prepare(drawScene(play.random));
  SteppedWorld& world = play.world();
  std::size_t wait = play(world.history().size() / 3 + 1);
  play.finish(world.drive(play.random, [&](int rank, const std::vector<Message>& written) {
    wait -= std::min(wait, written.size());
    if (wait != 0 || world.forged() != 0) return false;
    bool any = false;
    // What reads several messages waits for one after the other.
    for (int most = 0; most < 8; ++most) {
      const auto at = world.spotOf(world.awaited(rank));
      if (!at) break;
      world.view().setFlags(*at, world.nextRead(*at, rank));
      world.step(rank);
      any = true;
    }
    return any;
  }));
  // The first message of a transfer has a stamp, which is looked at before it is opened.
  play.result.live = !world.errors().empty() || world.forged() != 0;
}

/// Writers are told that all has been read, and write over what has not; then flags say that what
/// was there still is.
void forgeCredits(Play& play) {
  const Scene scene = drawLongScene(play.random);
  play.prepare(scene);
  SteppedWorld& world = play.world();
  const bool fromRoot =
      scene.algorithm == nullptr || !contractOf(scene.algorithm->collective).outAtRoot;
  const int reader = fromRoot ? (scene.root + 1) % scene.world : scene.root;
  std::map<Spot, shm::Step> next;
  for (int writer = 0; writer < scene.world; ++writer)
    for (const int channel : {reader, scene.world})
      for (const Protocol protocol : kAllProtocols)
        for (std::size_t slot = 0; slot < shm::slotsOf(protocol); ++slot) {
          const Spot at{writer, channel, protocol, slot};
          next[at] = world.nextRead(at, reader);
          for (const int r : world.readersOf(at))
            if (r != writer) world.view().credit(at, r).store(std::uint64_t{1} << 40);
        }
  const auto stepOthers = [&] {
    for (int r = 0; r < scene.world; ++r)
      if (r != reader && !world.ended(r)) world.step(r);
  };
  for (int round = 0; round < 200; ++round) stepOthers();
  for (int most = 0; most < 500 && !world.ended(reader); ++most) {
    world.step(reader);
    stepOthers();  // for what it may have to send itself
    const auto at = world.spotOf(world.awaited(reader));
    if (!at) continue;
    world.view().setFlags(*at, next[*at]);
    next[*at] += shm::slotsOf(at->protocol);
  }
  play.finish(world.drive(play.random));
  play.result.live = world.forged() != 0;
}

/// Beside every message from some point on. Only the first of a transfer is looked at.
void forgeStamps(Play& play) {
  play.prepare(drawScene(play.random));
  std::size_t wait = play(play.world().history().size());
  play.finish(play.world().drive(play.random, [&](int, const std::vector<Message>& written) {
    for (const Message& m : written) {
      if (wait == 0) play.result.live |= forgeStamp(play, m);
      wait -= std::min<std::size_t>(wait, 1);
    }
    return false;
  }));
}

constexpr Forgery kForgeries[]{
    {"a bit of ciphertext", true, strikeMessage<flipCipher>},
    {"a bit of a tag", false, strikeMessage<flipTag>},
    {"noise", true, strikeMessage<noise>},
    {"replay from a channel", true, strikeMessage<replayOlder>},
    {"replay in a slot", true, strikeMessage<replaySameSlot, true>},
    {"slots swapped", true, strikeMessage<swapSlots, true>},
    {"splice of chunks", true, strikeMessage<spliceChunk, true>},
    {"splice of ranks", true, strikeMessage<spliceRank>},
    {"splice of communicators", true, spliceCommunicator},
    {"splice of epochs", true, spliceEpoch},
    {"an end cut off", true, strikeMessage<cutOff>},
    {"a shorter record", true, strikeMessage<shorten>},
    {"forged flags", true, forgeFlags},
    {"forged credits", true, forgeCredits},
    {"forged fingerprints", false, forgeStamps},
};

}  // namespace

std::span<const Forgery> forgeries() {
  return kForgeries;
}

bool Trial::has(Fate fate) const {
  return std::ranges::find(fates, fate) != fates.end();
}

Trial play(const Forgery& forgery, unsigned seed, TagCheck check) {
  Play play{.random = std::mt19937(seed), .check = check, .result = {}};
  forgery.play(play);
  return std::move(play.result);
}

}  // namespace lockstep::testing
