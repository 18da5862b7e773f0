#include "communicator/control.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>

#include "base/fail.hpp"
#include "base/printable.hpp"
#include "bootstrap/frame.hpp"

namespace lockstep {

namespace {

/// What a sealed message is bound to besides its key. Laid out without padding: these bytes are the
/// additional authenticated data.
struct ControlName {
  std::array<char, 16> label{'l', 'o', 'c', 'k', 's', 't', 'e', 'p',
                             ' ', 'c', 'o', 'n', 't', 'r', 'o', 'l'};
  std::uint64_t number = 0;  ///< of the message under its key
  std::uint32_t bytes = 0;
  std::int16_t sender = 0;
  std::int16_t receiver = 0;
};
static_assert(sizeof(ControlName) == 32);

static_assert((Control::kMostBytes + cc::kTagBytes) * (kMaxWorld - 1) <= kMaxContribution,
              "what goes to every peer goes in one message");

ControlName nameOf(std::uint64_t number, std::size_t bytes, int sender, int receiver) {
  ControlName name;
  name.number = number;
  name.bytes = static_cast<std::uint32_t>(bytes);
  name.sender = static_cast<std::int16_t>(sender);
  name.receiver = static_cast<std::int16_t>(receiver);
  return name;
}

std::size_t at(int rank) {
  return static_cast<std::size_t>(rank);
}

/// What goes to every peer has one place for each, in rank order and without the sender's own.
std::size_t placeOf(int sender, int receiver) {
  return at(receiver) - (receiver > sender);
}

}  // namespace

std::vector<std::vector<std::byte>> Control::allGather(std::span<const std::byte> mine,
                                                       Deadline deadline) {
  if (keys_ == nullptr) {
    std::vector<Bytes> all = ForwardingPeers::allGather(frame(mine), deadline);
    for (int peer = 0; peer < worldSize(); ++peer) all[at(peer)] = messageIn(peer, all[at(peer)]);
    return all;
  }
  const Bytes message = sealForAll(frame(mine));
  // Numbers are taken before anything can fail, on both ends of every key: whatever becomes of this
  // all-gather, no message of it means anything in another. Of what length peers' messages are is
  // theirs to say, so all count for the longest.
  std::vector<std::uint64_t> numbers(at(worldSize()));
  for (int peer = 0; peer < worldSize(); ++peer)
    if (peer != rank()) numbers[at(peer)] = keys_->control({peer, rank()}).reserve(1, kMostBytes);
  const auto said = carry(message, deadline);

  std::vector<Bytes> all(said.size());
  all[at(rank())].assign(mine.begin(), mine.end());
  for (int peer = 0; peer < worldSize(); ++peer)
    if (peer != rank()) all[at(peer)] = open(peer, numbers[at(peer)], said[at(peer)]);
  // Only now: who has to blame somebody for other calls does so of what all have verified.
  for (int peer = 0; peer < worldSize(); ++peer)
    if (peer != rank()) all[at(peer)] = messageIn(peer, all[at(peer)]);
  return all;
}

/// To all, and what all said. What became of messages is found out here, by opening them: a carrier
/// that says so itself would have this rank believe that all others see the same.
std::vector<Control::Bytes> Control::carry(const Bytes& message, Deadline deadline) {
  try {
    return ForwardingPeers::allGather(message, deadline);
  } catch (const Error& error) {
    const bool isVerdict = error.code() == ErrorCode::mismatch ||
                           error.code() == ErrorCode::integrity ||
                           error.code() == ErrorCode::keyExchange;
    if (!isVerdict) throw;
    throw Error(ErrorCode::bootstrap, -1, std::string(purpose_),
                fmt::format("whoever carries what the ranks say ended it by what only they can "
                            "know: {} ({})",
                            error.what(), name(error.code())));
  }
}

/// purpose (one byte for its length), message
Control::Bytes Control::frame(std::span<const std::byte> mine) const {
  if (purpose_.size() > std::numeric_limits<std::uint8_t>::max())
    fail(ErrorCode::internal, "a purpose of {} bytes", purpose_.size());
  if (keys_ != nullptr && mine.size() > kMostBytes - purpose_.size() - 1)
    fail(ErrorCode::invalidArgument, "{}: ranks tell each other at most {} bytes at once, not {}",
         purpose_, kMostBytes - purpose_.size() - 1, mine.size());
  const auto purpose = std::as_bytes(std::span(purpose_));
  Bytes frame{static_cast<std::byte>(purpose.size())};
  frame.insert(frame.end(), purpose.begin(), purpose.end());
  frame.insert(frame.end(), mine.begin(), mine.end());
  return frame;
}

Control::Bytes Control::sealForAll(const Bytes& frame) {
  const std::size_t sealedBytes = frame.size() + cc::kTagBytes;
  Bytes message(sealedBytes * (at(worldSize()) - 1));
  for (int peer = 0; peer < worldSize(); ++peer) {
    if (peer == rank()) continue;
    cc::LiveKey& key = keys_->control({rank(), peer});
    const std::uint64_t number = key.reserve(1, kMostBytes);
    const ControlName name = nameOf(number, frame.size(), rank(), peer);
    std::byte* const place = message.data() + placeOf(rank(), peer) * sealedBytes;
    cc::Tag tag;
    keys_->aead().seal(key.expanded(), cc::nonceOf(number),
                       cc::ConstPrivateBytes(&name, sizeof name),
                       cc::ConstPrivateBytes(frame.data(), frame.size()),
                       cc::PrivateBytes(place, frame.size()), tag);
    std::ranges::copy(tag, place + frame.size());
  }
  return message;
}

/// The frame for me in what came as the message of `sender`.
Control::Bytes Control::open(int sender, std::uint64_t number, const Bytes& message) {
  const std::size_t peers = at(worldSize()) - 1, sealedBytes = message.size() / peers;
  const bool fits = message.size() % peers == 0 && sealedBytes > cc::kTagBytes &&
                    sealedBytes <= kMostBytes + cc::kTagBytes;
  Bytes frame(fits ? sealedBytes - cc::kTagBytes : 0);
  if (fits) {
    const std::byte* const place = message.data() + placeOf(sender, rank()) * sealedBytes;
    cc::Tag tag;
    std::copy_n(place + frame.size(), tag.size(), tag.begin());
    const ControlName name = nameOf(number, frame.size(), sender, rank());
    if (keys_->aead().open(keys_->control({sender, rank()}).expanded(), cc::nonceOf(number),
                           cc::ConstPrivateBytes(&name, sizeof name),
                           cc::ConstPrivateBytes(place, frame.size()), tag,
                           cc::PrivateBytes(frame.data(), frame.size())))
      return frame;
  }
  throw Error(
      ErrorCode::integrity, sender, std::string(purpose_),
      fmt::format("what rank {} said to rank {} does not verify: someone changed, exchanged "
                  "or replayed it on the way",
                  sender, rank()));
}

/// The message in a frame: one that has been verified, if it was sealed.
Control::Bytes Control::messageIn(int sender, const Bytes& frame) const {
  if (frame.empty())
    throw Error(ErrorCode::bootstrap, sender, std::string(purpose_),
                fmt::format("{}: what came as the message of rank {} is empty", purpose_, sender));
  const std::size_t bytes = std::min(std::to_integer<std::size_t>(frame[0]), frame.size() - 1);
  const std::string_view theirs(reinterpret_cast<const char*>(frame.data()) + 1, bytes);
  if (theirs != purpose_)
    throw Error(ErrorCode::mismatch, sender, std::string(purpose_),
                fmt::format("{}: rank {} called {} when rank {} called {}; all ranks must make the "
                            "same calls in the same order",
                            purpose_, sender, printable(theirs), rank(), purpose_));
  return {frame.begin() + static_cast<std::ptrdiff_t>(1 + bytes), frame.end()};
}

}  // namespace lockstep
