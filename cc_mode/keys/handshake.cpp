#include "cc_mode/keys/handshake.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include <openssl/rand.h>

#include "base/fail.hpp"
#include "base/secret.hpp"
#include "cc_mode/keys/hello.hpp"
#include "cc_mode/keys/quotes.hpp"
#include "cc_mode/keys/refuse.hpp"

namespace lockstep::cc {
namespace {

using Message = std::vector<std::byte>;
using Messages = std::vector<Message>;
using Key = std::array<std::byte, kKeyBytes>;

constexpr std::string_view kProtocol = "lockstep key exchange 2";
constexpr std::size_t kWrappedBytes = kKeyBytes + kTagBytes;

void append(Message& message, Bytes bytes) {
  message.insert(message.end(), bytes.begin(), bytes.end());
}

/// Two bytes, big-endian.
void append(Message& message, int number) {
  message.push_back(static_cast<std::byte>(number >> 8));
  message.push_back(static_cast<std::byte>(number));
}

void fillRandom(std::span<std::byte> secret) {
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(secret.data()),
                      static_cast<int>(secret.size())) != 1)
    fail(ErrorCode::system, "OpenSSL has no random bytes to give");
}

/// The three rounds. Every rank takes part in all of them, whatever happens: one that has failed
/// sends empty messages, so that the others learn of it at once and nobody waits for it.
class Rounds {
 public:
  Rounds(const HandshakeParameters& parameters, const AllGather& allGather)
      : parameters_(parameters), allGather_(allGather) {}

  Messages exchange(Bytes mine) {
    const int left = std::exchange(left_, 0) - 1;  // 0 if the carrier throws: then it is of no use
    Messages all = allGather_(mine);
    left_ = left;
    if (all.size() != static_cast<std::size_t>(parameters_.worldSize))
      refuse(-1, "the key exchange got messages of {} ranks instead of {}", all.size(),
             parameters_.worldSize);
    if (!std::ranges::equal(all[static_cast<std::size_t>(parameters_.rank)], mine))
      refuse(parameters_.rank,
             "this rank's key exchange message was changed on the way: someone tampers with it, or "
             "two processes use rank {}",
             parameters_.rank);
    return all;
  }

  void giveUp() noexcept {
    try {
      while (left_ > 0) {
        const int left = std::exchange(left_, 0) - 1;
        allGather_({});
        left_ = left;
      }
    } catch (...) {  // the carrier is broken as well; the error that brought us here matters more
    }
  }

 private:
  const HandshakeParameters& parameters_;
  const AllGather& allGather_;
  int left_ = 3;
};

/// What this rank shares with one peer.
struct PairKeys {
  Key dataOut, dataIn;
  Key controlOut, controlIn;
  Key wrapOut, wrapIn;
  Key finishedOut, finishedIn;
  Key mask;  ///< of both directions
};

/// One rank's side, step by step. README.md has the messages.
class Session {
 public:
  Session(const HandshakeParameters& parameters, std::shared_ptr<const Aead> aead);

  Message hello() const;
  void readHellos(const Messages& hellos);
  /// For each peer its group key, and this rank's quote.
  Message keysAndQuote() const;
  void readKeysAndQuotes(const Messages& messages);
  Message finished();
  void confirm(const Messages& finished) const;
  KeyRing keys() const;
  Lineage lineage() const;
  Secret<MaskKeys> masks() const;

 private:
  static constexpr std::size_t at(int rank) { return static_cast<std::size_t>(rank); }
  /// Messages to every peer hold one slot for each, in rank order and without the sender's own.
  static std::size_t slot(int sender, int receiver) { return at(receiver) - (receiver > sender); }
  std::size_t peers() const { return at(parameters_.worldSize) - 1; }
  template <class Visit>
  void forPeers(Visit visit) const {
    for (int peer = 0; peer < parameters_.worldSize; ++peer)
      if (peer != parameters_.rank) visit(peer);
  }

  void derive(int peer, const X25519::PublicKey& ephemeral);
  Message wrapAad(int sender, int receiver) const;
  Message wrappedKeys() const;
  void checkKeysAndQuote(const Message& message, int peer) const;
  void verifyQuotes(const Messages& messages);
  void unwrapKeys(const Messages& messages);
  Hash finishedMac(const Key& key) const;
  const char* suspicion() const;

  const HandshakeParameters& parameters_;
  std::shared_ptr<const Aead> aead_;
  X25519 ephemeral_;
  Hello mine_;
  Hash transcript_{};
  Hash quotes_{};                        ///< of all ranks, as this rank knows them
  Hash commitments_{};                   ///< of all group keys, as this rank knows them
  std::vector<Secret<PairKeys>> pairs_;  ///< by rank; my own stays zero
  Secret<std::array<Key, schedule::kMaxWorld>> group_;  ///< by rank
};

void check(const HandshakeParameters& p) {
  if (p.worldSize < 1 || p.worldSize > schedule::kMaxWorld || p.rank < 0 || p.rank >= p.worldSize)
    fail(ErrorCode::internal, "key exchange of rank {} of {}", p.rank, p.worldSize);
  if (p.psk.empty() && p.attestation == nullptr && !p.insecure)
    refuse(p.rank,
           "mode {} needs a pre-shared key: give every rank the same {} or more random bytes "
           "(Options::psk), or an attestation (Options::attestation), or allow insecure keys, "
           "which an active attacker can read",
           name(p.mode), kMinPskBytes);
  if (!p.psk.empty() && p.psk.size() < kMinPskBytes)
    refuse(p.rank, "the pre-shared key has {} bytes; it needs at least {} random ones",
           p.psk.size(), kMinPskBytes);
}

Session::Session(const HandshakeParameters& parameters, std::shared_ptr<const Aead> aead)
    : parameters_(parameters), aead_(std::move(aead)) {
  check(parameters);
  mine_.mode = parameters.mode;
  mine_.preShared = !parameters.psk.empty();
  mine_.attested = parameters.attestation != nullptr;
  mine_.rank = static_cast<std::uint16_t>(parameters.rank);
  mine_.world = static_cast<std::uint16_t>(parameters.worldSize);
  mine_.cipher = sha256(bytesOf(aead_->name()));
  mine_.ephemeral = ephemeral_.publicKey();
  fillRandom(mine_.nonce);
  fillRandom((*group_)[at(parameters.rank)]);
  pairs_.resize(at(parameters.worldSize));
}

Message Session::hello() const {
  const auto encoded = encode(mine_);
  return {encoded.begin(), encoded.end()};
}

void Session::readHellos(const Messages& hellos) {
  std::vector<Hello> peers(at(parameters_.worldSize));
  forPeers([&](int peer) {
    peers[at(peer)] = checkHello(hellos[at(peer)], peer, mine_, aead_->name());
  });
  Message said;
  append(said, bytesOf(kProtocol));
  append(said, parameters_.communicatorId);
  append(said, parameters_.worldSize);
  append(said, parameters_.agreed);
  for (const Message& hello : hellos) append(said, hello);
  transcript_ = sha256(said);
  forPeers([&](int peer) { derive(peer, peers[at(peer)].ephemeral); });
}

void Session::derive(int peer, const X25519::PublicKey& ephemeral) {
  const SecretPages input(kX25519Bytes + parameters_.psk.size());
  const std::span<std::byte, kX25519Bytes> shared(input.data(), kX25519Bytes);
  if (!ephemeral_.agree(ephemeral, shared))
    refuse(peer, "rank {} sent a public key of low order: someone tampers with the key exchange",
           peer);
  std::copy(parameters_.psk.begin(), parameters_.psk.end(), input.data() + kX25519Bytes);
  Secret<Hash> root;
  hkdfExtract(transcript_, {input.data(), kX25519Bytes + parameters_.psk.size()}, *root);

  const auto expand = [&](std::string_view purpose, int sender, int receiver, Key& key) {
    Message info;
    append(info, bytesOf(purpose));
    append(info, sender);
    append(info, receiver);
    hkdfExpand(*root, info, key);
  };
  PairKeys& keys = *pairs_[at(peer)];
  const int me = parameters_.rank;
  expand("lockstep data", me, peer, keys.dataOut);
  expand("lockstep data", peer, me, keys.dataIn);
  expand("lockstep control", me, peer, keys.controlOut);
  expand("lockstep control", peer, me, keys.controlIn);
  expand("lockstep wrap", me, peer, keys.wrapOut);
  expand("lockstep wrap", peer, me, keys.wrapIn);
  expand("lockstep finished", me, peer, keys.finishedOut);
  expand("lockstep finished", peer, me, keys.finishedIn);
  expand("lockstep mask", std::min(me, peer), std::max(me, peer), keys.mask);
}

Message Session::wrapAad(int sender, int receiver) const {
  Message aad;
  append(aad, transcript_);
  append(aad, sender);
  append(aad, receiver);
  return aad;
}

Message Session::keysAndQuote() const {
  Message message = wrappedKeys();
  if (mine_.attested)
    append(message, makeQuote(*parameters_.attestation, transcript_, parameters_.rank));
  return message;
}

Message Session::wrappedKeys() const {
  const int me = parameters_.rank;
  Key group = {};  // ciphertext by the time it leaves this function
  Message message;
  message.reserve(peers() * kWrappedBytes);
  forPeers([&](int peer) {
    const Message aad = wrapAad(me, peer);
    Tag tag;
    aead_->seal(*aead_->expand(pairs_[at(peer)]->wrapOut), nonceOf(0),
                ConstPrivateBytes(aad.data(), aad.size()),
                ConstPrivateBytes((*group_)[at(me)].data(), kKeyBytes),
                PrivateBytes(group.data(), kKeyBytes), tag);
    append(message, group);
    append(message, tag);
  });
  return message;
}

/// What a failed check of a peer's key means, for the user.
const char* Session::suspicion() const {
  return !mine_.preShared
             ? "messages were changed on the way, or it joins another communicator"
             : "it has another pre-shared key (give every rank the same), joins another "
               "communicator, or messages were changed on the way";
}

void Session::readKeysAndQuotes(const Messages& messages) {
  forPeers([&](int peer) { checkKeysAndQuote(messages[at(peer)], peer); });
  if (mine_.attested) verifyQuotes(messages);  // before any key is used
  unwrapKeys(messages);
}

/// A quote may have any length; verifyQuote has its limits.
void Session::checkKeysAndQuote(const Message& message, int peer) const {
  const std::size_t keys = peers() * kWrappedBytes;
  if (!mine_.attested || message.size() < keys) checkLength(message, keys, peer);
}

void Session::verifyQuotes(const Messages& messages) {
  Message said;
  for (int rank = 0; rank < parameters_.worldSize; ++rank) {
    const Bytes quote = Bytes(messages[at(rank)]).subspan(peers() * kWrappedBytes);
    append(said, sha256(quote));
    if (rank != parameters_.rank) verifyQuote(*parameters_.attestation, transcript_, rank, quote);
  }
  quotes_ = sha256(said);
}

void Session::unwrapKeys(const Messages& messages) {
  const int me = parameters_.rank;
  forPeers([&](int peer) {
    const std::byte* cipher = messages[at(peer)].data() + slot(peer, me) * kWrappedBytes;
    Tag tag;
    std::copy_n(cipher + kKeyBytes, kTagBytes, tag.begin());
    const Message aad = wrapAad(peer, me);
    if (!aead_->open(*aead_->expand(pairs_[at(peer)]->wrapIn), nonceOf(0),
                     ConstPrivateBytes(aad.data(), aad.size()),
                     ConstPrivateBytes(cipher, kKeyBytes), tag,
                     PrivateBytes((*group_)[at(peer)].data(), kKeyBytes)))
      refuse(peer, "cannot agree on keys with rank {}: {}", peer, suspicion());
  });
}

/// AES-GCM does not commit to its key, so each rank says which group keys it holds.
Message Session::finished() {
  Message commitments;
  for (int rank = 0; rank < parameters_.worldSize; ++rank) {
    Hash commitment;
    hkdfExpand((*group_)[at(rank)], bytesOf("lockstep commit"), commitment);
    append(commitments, commitment);
  }
  commitments_ = sha256(commitments);
  Message message;
  forPeers([&](int peer) { append(message, finishedMac(pairs_[at(peer)]->finishedOut)); });
  return message;
}

Hash Session::finishedMac(const Key& key) const {
  Message said;
  append(said, transcript_);
  append(said, quotes_);
  append(said, commitments_);
  return hmacSha256(key, said);
}

void Session::confirm(const Messages& finished) const {
  const int me = parameters_.rank;
  forPeers([&](int peer) { checkLength(finished[at(peer)], peers() * kHashBytes, peer); });
  forPeers([&](int peer) {
    Hash mac;
    std::copy_n(
        finished[at(peer)].begin() + static_cast<std::ptrdiff_t>(slot(peer, me) * kHashBytes),
        kHashBytes, mac.begin());
    if (!equalInConstantTime(mac, finishedMac(pairs_[at(peer)]->finishedIn)))
      refuse(peer,
             "rank {} does not confirm this rank's keys: some rank handed out different group keys "
             "or quotes, or messages were changed on the way",
             peer);
  });
}

KeyRing Session::keys() const {
  const int me = parameters_.rank;
  KeyRing ring(aead_);
  forPeers([&](int peer) {
    ring.add({me, peer}, pairs_[at(peer)]->dataOut);
    ring.add({peer, me}, pairs_[at(peer)]->dataIn);
    ring.addControl({me, peer}, pairs_[at(peer)]->controlOut);
    ring.addControl({peer, me}, pairs_[at(peer)]->controlIn);
  });
  for (int rank = 0; rank < parameters_.worldSize; ++rank)
    ring.add({rank, schedule::kEveryone}, (*group_)[at(rank)]);
  if (parameters_.mode == Mode::ccMasked && peers() != 0) ring.addMasks(masks());
  return ring;
}

/// Out of all group keys, which all ranks have confirmed and nobody else has ever had.
Lineage Session::lineage() const {
  if (!mine_.preShared && !mine_.attested) return {};
  const auto groupKeys = std::span(*group_).first(at(parameters_.worldSize));
  return {std::as_bytes(groupKeys), transcript_};
}

/// What all members share comes of all group keys, which all have confirmed.
Secret<MaskKeys> Session::masks() const {
  const int me = parameters_.rank, world = parameters_.worldSize;
  Secret<MaskKeys> masks;
  masks->before = pairs_[at((me + world - 1) % world)]->mask;
  masks->after = pairs_[at((me + 1) % world)]->mask;
  Secret<Hash> root;
  hkdfExtract(transcript_, std::as_bytes(std::span(*group_).first(at(world))), *root);
  hkdfExpand(*root, bytesOf("lockstep mask group"), masks->group);
  hkdfExpand(*root, bytesOf("lockstep mask tags"), masks->tags);
  return masks;
}

}  // namespace

KeyRing handshake(const HandshakeParameters& parameters, std::shared_ptr<const Aead> aead,
                  const AllGather& allGather, Lineage* lineage) {
  Rounds rounds(parameters, allGather);
  try {
    Session session(parameters, std::move(aead));
    session.readHellos(rounds.exchange(session.hello()));
    session.readKeysAndQuotes(rounds.exchange(session.keysAndQuote()));
    session.confirm(rounds.exchange(session.finished()));
    if (lineage != nullptr) *lineage = session.lineage();
    return session.keys();
  } catch (...) {
    rounds.giveUp();
    throw;
  }
}

}  // namespace lockstep::cc
