// The moment a record crosses: a cipher touches nothing shared, what was copied in is never fetched
// again, and no plaintext lies in a segment even for a moment. The cipher does the looking, since
// it is called after everything has been copied in and before anything is copied out.
#include <csignal>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "executor/sealed_world.hpp"
#include "support/forwarding_aead.hpp"
#include "support/interpreter.hpp"
#include <lockstep/error.hpp>

namespace lockstep::host {
namespace {

using testing::ForwardingAead;
using Segments = std::vector<std::span<std::byte>>;

/// A cipher that has `seals` and `opens` called in its place, with what it works on.
class Watched final : public ForwardingAead {
 public:
  using Work = std::function<bool()>;
  struct Looks {
    std::function<void(const Work& work)> seals = [](const Work& work) { work(); };
    std::function<bool(cc::ConstPrivateBytes cipher, const cc::Tag& tag, const Work& work)> opens =
        [](cc::ConstPrivateBytes, const cc::Tag&, const Work& work) { return work(); };
  };
  Watched(std::shared_ptr<const cc::Aead> inner, const Looks& looks)
      : ForwardingAead(std::move(inner)), looks_(looks) {}

  void seal(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
            cc::ConstPrivateBytes plain, cc::PrivateBytes cipher, cc::Tag& tag) const override {
    looks_.seals([&] {
      ForwardingAead::seal(key, nonce, aad, plain, cipher, tag);
      return true;
    });
  }
  [[nodiscard]] bool open(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
                          cc::ConstPrivateBytes cipher, const cc::Tag& tag,
                          cc::PrivateBytes plain) const override {
    return looks_.opens(cipher, tag,
                        [&] { return ForwardingAead::open(key, nonce, aad, cipher, tag, plain); });
  }

 private:
  const Looks& looks_;
};

/// A world that is watched. `looksOf`: a rank's, which stay.
struct WatchedWorld {
  explicit WatchedWorld(int size)
      : looks(static_cast<std::size_t>(size)),
        world(size, [this](int rank, std::shared_ptr<const cc::Aead> inner) {
          return std::make_shared<Watched>(std::move(inner), looks[static_cast<std::size_t>(rank)]);
        }) {
    for (int rank = 0; rank < size; ++rank) segments.push_back(world.segment(rank));
  }
  std::vector<Watched::Looks> looks;
  SealedWorld world;
  Segments segments;
};

/// What ranks compute, and throws where it is not what the reference says.
void callAndCheck(SealedWorld& world, std::size_t count, const SealedWorld::Value& value,
                  const std::function<void(int)>& after = {}) {
  world.begin(count, value);
  if (!world.drive(after)) throw std::runtime_error("nobody goes on");
  std::vector<std::vector<std::int64_t>> inputs;
  for (int rank = 0; rank < world.size(); ++rank) inputs.push_back(world.rank(rank).in);
  const auto expected = test::interpret<std::int64_t>(world.schedule(), inputs);
  for (int rank = 0; rank < world.size(); ++rank)
    if (world.rank(rank).out != expected.out[static_cast<std::size_t>(rank)])
      throw std::runtime_error("a wrong result");
}

std::int64_t anyValue(int rank, std::size_t element) {
  return static_cast<std::int64_t>(element) * 0x123456789 + rank * 1000 + 1;
}

/// Every shape of call, lines and slots, several tiles and several records.
void forEveryShape(const std::vector<int>& worlds,
                   const std::function<void(const Case&, int world, std::size_t count)>& play) {
  for (const schedule::Algorithm* algorithm : schedule::algorithms()) {
    if (algorithm->edges != schedule::Edges::channels) continue;
    const bool hasData = contractOf(algorithm->collective).hasData;
    for (const Mode mode : {Mode::cc, Mode::ccMulticast})
      for (const int world : worlds) {
        Case c{.algorithm = algorithm, .mode = mode};
        if (contractOf(algorithm->collective).rooted) c.root = world - 1;
        c.tileBytes = shm::kBriefBytes;
        c.protocol = shm::Protocol::brief;
        play(c, world, hasData ? 30 : 0);
        if (!hasData) continue;
        c.protocol = shm::Protocol::ll;
        c.tileBytes = 64;
        play(c, world, 40);
        c.protocol = shm::Protocol::simple;
        c.tileBytes = shm::kSlotBytes;
        play(c, world, 9000);
      }
  }
}

void transferAll(SealedWorld& world, const std::function<void(int)>& after = {}) {
  for (const std::size_t bytes : {0, 8, 200, 100000}) {
    std::vector<std::byte> out(bytes, std::byte{7}), in(bytes);
    if (!world.transfer(0, 1, out, in, after) || in != out)
      throw std::runtime_error("a wrong transfer");
  }
}

// ---- a cipher touches nothing that is shared ----

constexpr int kTouched = 77;

/// While this lives nobody can touch the segments: who does ends its process.
class Unreachable {
 public:
  explicit Unreachable(const Segments& segments) : segments_(segments) { protect(PROT_NONE); }
  Unreachable(const Unreachable&) = delete;
  Unreachable& operator=(const Unreachable&) = delete;
  ~Unreachable() { protect(PROT_READ | PROT_WRITE); }

 private:
  void protect(int protection) const {
    for (const auto& segment : segments_)
      if (::mprotect(segment.data(), segment.size(), protection) != 0) ::_exit(1);
  }
  const Segments& segments_;
};

/// Ends with 0, or kTouched, or 1 and what was wrong.
[[noreturn]] void endWith(const std::function<void()>& play) {
  std::signal(SIGSEGV, [](int) { ::_exit(kTouched); });
  try {
    play();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    ::_exit(1);
  }
  ::_exit(0);
}

void blindfold(WatchedWorld& w) {
  for (Watched::Looks& looks : w.looks) {
    looks.seals = [&w](const Watched::Work& work) {
      const Unreachable all(w.segments);
      work();
    };
    looks.opens = [&w](cc::ConstPrivateBytes, const cc::Tag&, const Watched::Work& work) {
      const Unreachable all(w.segments);
      return work();
    };
  }
}

TEST(Crossing, WhileACipherWorksNothingSharedCanBeTouched) {
  EXPECT_EXIT(endWith([] {
                forEveryShape({2, 3}, [](const Case& c, int size, std::size_t count) {
                  WatchedWorld w(size);
                  blindfold(w);
                  w.world.prepare(c);
                  for (int call = 0; call < 2; ++call) callAndCheck(w.world, count, anyValue);
                  transferAll(w.world);
                });
              }),
              ::testing::ExitedWithCode(0), "");
}

/// One byte of a segment, read by a cipher at work: noticed, while sealing and while opening.
TEST(Crossing, ACipherThatTouchesASegmentIsNoticed) {
  for (const bool seals : {true, false}) {
    const auto play = [seals] {
      WatchedWorld w(2);
      blindfold(w);
      const auto peek = [&w] {
        [[maybe_unused]] const std::byte byte =
            *const_cast<volatile const std::byte*>(w.segments[0].data());
      };
      for (Watched::Looks& looks : w.looks) {
        if (seals)
          looks.seals = [&, was = looks.seals](const Watched::Work& work) {
            was([&] {
              peek();
              return work();
            });
          };
        else
          looks.opens = [&, was = looks.opens](cc::ConstPrivateBytes cipher, const cc::Tag& tag,
                                               const Watched::Work& work) {
            return was(cipher, tag, [&] {
              peek();
              return work();
            });
          };
      }
      transferAll(w.world);
    };
    EXPECT_EXIT(endWith(play), ::testing::ExitedWithCode(kTouched), "");
  }
}

// ---- what was copied in is not fetched again ----

/// Overwrites records where they were copied from.
class Spoiler {
 public:
  Spoiler(const Segments& segments, int reader) : segments_(segments), reader_(reader) {}

  /// A record that its reader has just copied, wherever it lies.
  void spoil(cc::ConstPrivateBytes cipher, const cc::Tag& tag) {
    std::vector<std::byte> sealed(cipher.data(), cipher.data() + cipher.size());
    sealed.insert(sealed.end(), tag.begin(), tag.end());
    bool found = false;
    for (std::size_t writer = 0; writer < segments_.size(); ++writer)
      for (std::size_t channel = 0; channel <= segments_.size(); ++channel)
        if (static_cast<int>(writer) != reader_)
          found |= spoilIn(areaOf(writer, channel), sealed, tag);
    if (!found) throw std::runtime_error("a record that was opened lies nowhere");
    ++records;
  }

  /// Other readers want it too.
  void restore() {
    for (const auto& [at, byte] : spoilt_) *at = byte;
    forget();
  }
  void forget() { spoilt_.clear(); }

  std::size_t records = 0;

 private:
  shm::OutArea& areaOf(std::size_t writer, std::size_t channel) const {
    const shm::Layout layout(static_cast<int>(segments_.size()));
    return *reinterpret_cast<shm::OutArea*>(segments_[writer].data() + layout.outArea(channel));
  }

  bool spoilIn(shm::OutArea& area, const std::vector<std::byte>& sealed, const cc::Tag& tag) {
    // Of a long record its beginning tells; of a short one all of it, which is in the first line.
    const std::size_t bytes = sealed.size() - tag.size();
    const std::size_t known = bytes < 16 ? sealed.size() : std::min(bytes, shm::kFirstLineBytes);
    const auto isHere = [&](const std::byte* at) {
      return std::memcmp(at, sealed.data(), known) == 0;
    };
    bool found = false;
    const auto lookIn = [&](auto& slots) {
      for (auto& lines : slots)
        if (std::byte* at = lines[0].data.data(); isHere(at)) {
          spoilLines(at, sealed.size());
          found = true;
        }
    };
    lookIn(area.lines);
    lookIn(area.briefLines);
    for (std::size_t slot = 0; slot < shm::kSlots; ++slot) {
      const std::span<std::byte> payload(area.payload[slot]);
      for (std::size_t at = 0; at < shm::kSlotBytes; at += kRecordBytes)
        if (isHere(&payload[at])) {
          spoilSlot(payload.subspan(at), bytes, tag);
          found = true;
        }
    }
    return found;
  }

  void spoilByte(std::byte* at) {
    spoilt_.emplace_back(at, *at);
    *at ^= std::byte{0x5a};
  }
  /// All but stamps and flags, which say that there is a message.
  void spoilLines(std::byte* at, std::size_t bytes) {
    for (std::size_t room = shm::kFirstLineBytes; bytes != 0; room = shm::kLineBytes) {
      const std::size_t n = std::min(bytes, room);
      for (std::size_t i = 0; i < n; ++i) spoilByte(at + i);
      at += kCacheLine;
      bytes -= n;
    }
  }
  void spoilSlot(std::span<std::byte> at, std::size_t bytes, const cc::Tag& tag) {
    auto* tagAt =
        static_cast<std::byte*>(::memmem(&at[bytes], at.size() - bytes, tag.data(), tag.size()));
    if (tagAt == nullptr) throw std::runtime_error("a tag that was checked lies nowhere");
    for (std::size_t i = 0; i < bytes; ++i) spoilByte(&at[i]);
    for (std::size_t i = 0; i < tag.size(); ++i) spoilByte(tagAt + i);
  }

  const Segments& segments_;
  int reader_;
  std::vector<std::pair<std::byte*, std::byte>> spoilt_;
};

/// Records are overwritten as soon as they have been copied in, before they are opened. Where a
/// message has several readers, the others find it whole again once this one's step is over.
TEST(Crossing, WhatWasCopiedInIsNeverFetchedAgain) {
  std::size_t records = 0;
  forEveryShape({2, 4}, [&](const Case& c, int size, std::size_t count) {
    SCOPED_TRACE(describe(c, size));
    WatchedWorld w(size);
    std::vector<Spoiler> spoilers;
    for (int rank = 0; rank < size; ++rank) spoilers.emplace_back(w.segments, rank);
    for (std::size_t rank = 0; rank < w.looks.size(); ++rank)
      w.looks[rank].opens = [&spoiler = spoilers[rank]](cc::ConstPrivateBytes cipher,
                                                        const cc::Tag& tag,
                                                        const Watched::Work& work) {
        spoiler.spoil(cipher, tag);
        return work();
      };
    const auto after = [&](int rank) {
      Spoiler& spoiler = spoilers[static_cast<std::size_t>(rank)];
      c.mode == Mode::cc ? spoiler.forget() : spoiler.restore();
    };
    w.world.prepare(c);
    try {
      for (int call = 0; call < 2; ++call) callAndCheck(w.world, count, anyValue, after);
      if (c.mode == Mode::cc) transferAll(w.world, after);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    for (const Spoiler& spoiler : spoilers) records += spoiler.records;
  });
  EXPECT_GT(records, 3000U);
}

/// The same a moment earlier, before it is copied in, does not get past the cipher.
TEST(Crossing, WhatChangesBeforeItIsCopiedInIsRefused) {
  WatchedWorld w(2);
  w.world.prepare({.algorithm = schedule::findAlgorithm(Collective::broadcast, "direct",
                                                        schedule::Edges::channels),
                   .tileBytes = shm::kLlBytes});
  w.world.begin(10, anyValue);
  const shm::Layout layout(2);
  const auto spoilFirstLine = [&](int rank) {
    for (std::size_t channel = 0; rank == 0 && channel < 3; ++channel)
      reinterpret_cast<shm::OutArea*>(w.segments[0].data() + layout.outArea(channel))
          ->lines[0][0]
          .data[5] ^= std::byte{1};
  };
  EXPECT_THROW(w.world.drive(spoilFirstLine), Error);
}

// ---- no plaintext, not even for a moment ----

/// 8 bytes that nothing else is.
constexpr std::int64_t kPattern = 0x5ec2e75ec2e7a11d;

/// Everything that ranks exchange begins at such an address.
bool isPlanted(std::span<const std::byte> segment) {
  const auto* words = reinterpret_cast<const std::int64_t*>(segment.data());
  return std::find(words, words + segment.size() / sizeof *words, kPattern) !=
         words + segment.size() / sizeof *words;
}

/// All inputs are the pattern, and the largest of several too: so is every intermediate result. It
/// is looked for in what a rank writes, after its steps and whenever it calls a cipher.
TEST(Crossing, NoPlaintextIsSharedEvenForAMoment) {
  forEveryShape({3}, [&](Case c, int size, std::size_t count) {
    SCOPED_TRACE(describe(c, size));
    WatchedWorld w(size);
    std::size_t looks = 0, hits = 0;
    const auto look = [&](std::size_t rank) {
      ++looks;
      hits += isPlanted(w.segments[rank]) ? 1 : 0;
    };
    for (std::size_t rank = 0; rank < w.looks.size(); ++rank) {
      w.looks[rank].seals = [&, rank](const Watched::Work& work) {
        look(rank);
        work();
      };
      w.looks[rank].opens = [&, rank](cc::ConstPrivateBytes, const cc::Tag&,
                                      const Watched::Work& work) {
        look(rank);
        return work();
      };
    }
    c.reduction = Reduction::max;
    w.world.prepare(c);
    w.world.begin(count, [](int, std::size_t) { return kPattern; });
    ASSERT_TRUE(w.world.drive([&](int rank) { look(static_cast<std::size_t>(rank)); }));
    for (int rank = 0; rank < size; ++rank)
      for (const std::int64_t value : w.world.rank(rank).out) ASSERT_EQ(value, kPattern);
    EXPECT_GT(looks, 0U);
    EXPECT_EQ(hits, 0U);
  });
}

/// In the clear it is there, by the same look.
TEST(Crossing, PlaintextInTheClearIsSeen) {
  SealedWorld world(2);
  Case c{.algorithm =
             schedule::findAlgorithm(Collective::allReduce, "one_shot", schedule::Edges::channels),
         .mode = Mode::p2p,
         .reduction = Reduction::max};
  for (const shm::Protocol protocol : {shm::Protocol::ll, shm::Protocol::simple}) {
    c.protocol = protocol;
    c.tileBytes = shm::kLlBytes;
    world.prepare(c);
    world.begin(30, [](int, std::size_t) { return kPattern; });
    ASSERT_TRUE(world.drive());
    EXPECT_TRUE(isPlanted(world.segment(0)) && isPlanted(world.segment(1)));
  }
}

}  // namespace
}  // namespace lockstep::host
