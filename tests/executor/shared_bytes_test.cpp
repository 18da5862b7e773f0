// Every byte that sealed ranks share: recomputed from their keys, their schedules and what the
// reference interpreter says that messages carry. What is not ciphertext or a tag does not depend
// on what ranks compute with.
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "executor/expected_segments.hpp"
#include "executor/sealed_world.hpp"
#include "support/interpreter.hpp"

namespace lockstep::host {
namespace {

using schedule::Channel;
using schedule::Operand;
using schedule::OpKind;
using testing::KeyBytes;
using testing::Use;

using Bytes = std::vector<std::byte>;

/// Seals again, by another implementation, what was sealed. The additional data are those that were
/// used: SealTrace holds them to the schedule.
class Resealer {
 public:
  /// What has been sealed since the last time.
  void learn(const std::vector<Use>& uses) {
    for (const Use& use : uses)
      if (use.seals) aad_[{use.key, use.nonce}] = use.aad;
  }

  /// A message under consecutive nonces. Throws if there was no such record.
  Bytes message(cc::KeyName name, std::uint64_t nonce, std::span<const std::byte> payload) {
    Bytes sealed(payload.begin(), payload.end());
    for (std::uint32_t record = 0; record < recordsOf(payload.size()); ++record) {
      const std::size_t n = sizeOfRecord(payload.size(), record);
      const Bytes& aad = take(keyOf(name), cc::nonceOf(nonce + record));
      const cc::PrivateBytes text(sealed.data() + std::size_t{record} * kRecordBytes, n);
      cc::Tag tag;
      aead_->seal(expanded(name), cc::nonceOf(nonce + record),
                  cc::ConstPrivateBytes(aad.data(), aad.size()), text, text, tag);
      sealed.insert(sealed.end(), tag.begin(), tag.end());
    }
    return sealed;
  }

  /// Records that have been sealed, and that no message explained.
  std::size_t unexplained() const { return aad_.size() - used_.size(); }

 private:
  using Name = std::pair<KeyBytes, cc::Nonce>;
  const Bytes& take(const KeyBytes& key, const cc::Nonce& nonce) {
    const auto found = aad_.find({key, nonce});
    if (found == aad_.end()) throw std::runtime_error("nobody sealed under such a key and nonce");
    used_.insert(found->first);
    return found->second;
  }
  cc::ExpandedKey& expanded(cc::KeyName name) {
    auto& key = keys_[keyOf(name)];
    if (key == nullptr) key = aead_->expand(keyOf(name));
    return *key;
  }

  std::shared_ptr<const cc::Aead> aead_ = cc::createAead("openssl");
  std::map<KeyBytes, std::unique_ptr<cc::ExpandedKey>> keys_;
  std::map<Name, Bytes> aad_;
  std::set<Name> used_;
};

/// A world, and beside it what its memory must hold.
class Accounted {
 public:
  explicit Accounted(int world, std::uint32_t seed)
      : world_(world), expected_(world), random_(seed) {}

  const Plan& prepare(const Case& c) {
    plan_ = &world_.prepare(c);
    protocol_ = c.protocol;
    index();
    return *plan_;
  }

  /// A call of so many elements, and what it must leave.
  void call(std::size_t count) {
    const std::size_t tiles =
        count <= plan_->tileElements ? 1 : (count - 1) / plan_->tileElements + 1;
    ASSERT_TRUE(tiles == 1 || (count + tiles - 1) / tiles == plan_->tileElements)
        << "the interpreter cuts tiles evenly";
    const shm::CallDescription what =
        world_.begin(count, [&](int, std::size_t) {  // so that no sum overflows
          return static_cast<std::int64_t>(random_() >> 8);
        });
    ASSERT_TRUE(world_.drive()) << "nobody goes on";
    expected_.announced(what);
    sealed_.learn(world_.takeUses());
    interpret(tiles, shm::fingerprint(what));
    for (const auto& [channel, messages] : perTile_)
      steps_[{channel, protocol_}] += tiles * messages;
    for (const auto& [key, messages] : sealsPerTile_)
      nonces_[key] += tiles * messages * plan_->recordsPerMessage;
  }

  /// A send, of what may be nothing.
  void transfer(int from, int to, std::size_t bytes) {
    Bytes out(bytes), in(bytes);
    for (std::byte& b : out) b = static_cast<std::byte>(random_());
    ASSERT_TRUE(world_.transfer(from, to, out, in));
    ASSERT_EQ(in, out);
    sealed_.learn(world_.takeUses());
    const Channel channel{from, to};
    const std::uint64_t stamp =
        shm::stampOf({.sequence = ++transfers_[channel], .count = bytes, .type = DataType::u8});
    const bool whole = bytes + cc::kTagBytes <= shm::kLlBytes;
    // One that does not fit the first message has as many nonces for each of its messages.
    constexpr std::size_t kTile = std::size_t{32} << 10;
    std::uint64_t& nonce = nonces_[{from, to}];
    const auto send = [&](shm::Protocol protocol, std::span<const std::byte> payload) {
      expected_.exchanged({.channel = channel,
                           .protocol = protocol,
                           .step = steps_[{channel, protocol}]++,
                           .stamp = stamp,
                           .sealed = sealed_.message({from, to}, nonce, payload)});
      nonce += whole ? 1 : recordsOf(kTile);
    };
    const std::span<const std::byte> payload(out);
    send(shm::Protocol::ll, whole ? payload : payload.first(0));
    for (std::size_t done = 0; !whole && done < bytes; done += kTile)
      send(shm::Protocol::simple, payload.subspan(done, std::min(kTile, bytes - done)));
    expectAccounted();
  }

  /// All is as it must be, and no record was sealed but for that.
  void expectAccounted() {
    EXPECT_EQ(sealed_.unexplained(), 0U);
    for (int rank = 0; rank < world_.size(); ++rank)
      if (const auto wrong = expected_.firstDifference(rank, world_.segment(rank)))
        ADD_FAILURE() << *wrong;
  }

  int size() const { return world_.size(); }
  const ExpectedSegments& expected() const { return expected_; }
  std::span<std::byte> segment(int rank) const { return world_.segment(rank); }

 private:
  struct Place {
    Channel channel;
    std::uint64_t ordinal = 0;
  };
  template <class Visit>
  void forEachSend(Visit visit) const {
    for (int rank = 0; rank < world_.size(); ++rank) {
      const auto& lanes = world_.schedule().programs[static_cast<std::size_t>(rank)].lanes;
      for (std::size_t lane = 0; lane < lanes.size(); ++lane)
        for (std::size_t op = 0; op < lanes[lane].size(); ++op)
          for (std::size_t dst = 0; dst < lanes[lane][op].dst.size(); ++dst)
            if (const Operand& o = lanes[lane][op].dst[dst]; o.kind == Operand::Kind::channel)
              visit(std::array{static_cast<std::size_t>(rank), lane, op, dst}, lanes[lane][op], o);
    }
  }

  /// Numbers the messages of a tile: by channel, and by key.
  void index() {
    perTile_.clear();
    sealsPerTile_.clear();
    places_.clear();
    forEachSend([&](const auto& where, const schedule::Op& op, const Operand& o) {
      places_[where] = {o.channel, perTile_[o.channel]++};
      if (op.kind == OpKind::move) ++sealsPerTile_[{o.seal.sender, o.seal.receiver}];
    });
  }

  void interpret(std::size_t tiles, std::uint64_t stamp) {
    std::vector<std::vector<std::int64_t>> inputs;
    for (int rank = 0; rank < world_.size(); ++rank) inputs.push_back(world_.rank(rank).in);
    std::map<std::pair<Channel, shm::Step>, SealedMessage> messages;  // in the order of their steps
    test::InterpretOptions options{.tiles = tiles};
    options.onSend = [&](const test::SentMessage& sent) {
      const std::array where{static_cast<std::size_t>(sent.rank), sent.lane, sent.op, sent.dst};
      const Place& place = places_.at(where);
      const auto& op = world_.schedule().programs[where[0]].lanes[sent.lane][sent.op];
      const schedule::Seal& seal = op.dst[sent.dst].seal;
      const cc::KeyName key{seal.sender, seal.receiver};
      const std::uint64_t message = sent.tile * sealsPerTile_.at(key) + seal.index;
      const shm::Step step = steps_[{place.channel, protocol_}] +
                             sent.tile * perTile_.at(place.channel) + place.ordinal;
      messages[{place.channel, step}] = {
          .channel = place.channel,
          .protocol = protocol_,
          .step = step,
          .stamp = stamp,
          .sealed = sealed_.message(key, nonces_[key] + message * plan_->recordsPerMessage,
                                    sent.payload)};
    };
    const auto result = test::interpret<std::int64_t>(world_.schedule(), inputs, options);
    for (const auto& [at, message] : messages) expected_.exchanged(message);
    for (int rank = 0; rank < world_.size(); ++rank)
      EXPECT_EQ(world_.rank(rank).out, result.out[static_cast<std::size_t>(rank)]);
  }

  SealedWorld world_;
  ExpectedSegments expected_;
  Resealer sealed_;
  std::mt19937_64 random_;
  const Plan* plan_ = nullptr;
  shm::Protocol protocol_ = shm::Protocol::ll;
  std::map<std::array<std::size_t, 4>, Place> places_;
  std::map<Channel, std::uint64_t> perTile_, transfers_;
  std::map<cc::KeyName, std::uint64_t> sealsPerTile_, nonces_;
  std::map<std::pair<Channel, shm::Protocol>, shm::Step> steps_;
};

/// Two worlds did the same with different inputs: nothing else than payload differs.
void expectOnlyPayloadDiffers(const Accounted& one, const Accounted& other) {
  for (int rank = 0; rank < one.size(); ++rank) {
    const std::vector<std::uint8_t>& payload = one.expected().payload(rank);
    EXPECT_EQ(payload, other.expected().payload(rank));
    const auto a = one.segment(rank), b = other.segment(rank);
    std::size_t differing = 0;
    for (std::size_t page = 0; page < a.size(); page += kPage) {
      if (std::memcmp(&a[page], &b[page], kPage) == 0) continue;
      for (std::size_t i = page; i < page + kPage; ++i)
        differing += a[i] != b[i] && payload[i] == 0 ? 1 : 0;
    }
    EXPECT_EQ(differing, 0U) << "rank " << rank;
  }
}

/// Calls of every protocol and several sizes.
void callAll(Accounted& accounted, Case c) {
  const bool hasData = contractOf(c.algorithm->collective).hasData;
  const auto call = [&](std::initializer_list<std::size_t> counts) {
    for (const std::size_t count : counts) accounted.call(hasData ? count : 0);
    accounted.expectAccounted();
  };
  c.protocol = shm::Protocol::ll;
  c.tileBytes = shm::kLlBytes;
  accounted.prepare(c);
  call({30, 1, 0});
  c.tileBytes = 64;  // several in flight: slots come around
  call({13 * accounted.prepare(c).tileElements - 1, 3});
  c.protocol = shm::Protocol::brief;
  call({35 * accounted.prepare(c).tileElements - 1, 3});
  c.protocol = shm::Protocol::simple;
  c.tileBytes = shm::kSlotBytes;  // several records in a message
  call({2 * accounted.prepare(c).tileElements - 1, 5});
}

TEST(SharedBytes, OfEveryCollectiveAreWhatKeysAndPlansSay) {
  for (const schedule::Algorithm* algorithm : schedule::algorithms()) {
    if (algorithm->edges != schedule::Edges::channels) continue;
    for (const Mode mode : {Mode::cc, Mode::ccMulticast})
      for (const int world : {2, 3, 4}) {
        Case c{.algorithm = algorithm, .mode = mode};
        if (contractOf(algorithm->collective).rooted) c.root = world - 1;
        SCOPED_TRACE(describe(c, world));
        Accounted one(world, 1);
        callAll(one, c);
        if (world == 3) {
          Accounted other(world, 2);
          callAll(other, c);
          expectOnlyPayloadDiffers(one, other);
        }
        if (::testing::Test::HasFailure()) return;  // one place is enough to look at
      }
  }
}

TEST(SharedBytes, OfTransfersAreWhatKeysSay) {
  Accounted one(3, 1), other(3, 2);
  for (Accounted* accounted : {&one, &other})
    for (const std::size_t bytes : {0, 8, 200, 8000, 16384, 100000, 1, 300000})
      for (const auto& [from, to] : {std::pair{0, 1}, {1, 0}, {2, 1}})
        accounted->transfer(from, to, bytes);
  expectOnlyPayloadDiffers(one, other);
}

/// What is accounted for is all there is: any other byte is found.
TEST(SharedBytes, AByteTooManyIsFound) {
  Accounted world(2, 1);
  world.prepare({.algorithm = schedule::findAlgorithm(Collective::allReduce, "one_shot",
                                                      schedule::Edges::channels),
                 .tileBytes = shm::kLlBytes});
  world.call(5);
  world.expectAccounted();
  const auto segment = world.segment(0);
  for (std::size_t offset = 0; offset < segment.size(); offset += 4099) {
    segment[offset] ^= std::byte{1};
    EXPECT_TRUE(world.expected().firstDifference(0, segment)) << offset;
    segment[offset] ^= std::byte{1};
  }
  EXPECT_FALSE(world.expected().firstDifference(0, segment));
}

}  // namespace
}  // namespace lockstep::host
