#include "communicator/device/keys.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <openssl/rand.h>

#include "base/fail.hpp"
#include "cc_mode/digest.hpp"
#include <lockstep/group.hpp>

namespace lockstep::gpu {
namespace {

constexpr std::size_t kKeyBytes = 32;

void drawKeys(std::byte* to, std::size_t keys) {
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(to), static_cast<int>(keys * kKeyBytes)) !=
      1)
    fail(ErrorCode::system, "OpenSSL has no random bytes for keys");
}

/// Everyone's `bytes` for everyone: mine for rank r at r * bytes, theirs for me likewise. Between
/// two ranks each, under their own keys: a collective's algorithm could lead through others'
/// memory.
void exchange(Communicator& control, const std::byte* mine, std::byte* theirs, std::size_t bytes) {
  Group group;
  for (int peer = 0; peer < control.worldSize(); ++peer) {
    const auto at = static_cast<std::size_t>(peer) * bytes;
    if (peer == control.rank())
      std::memcpy(theirs + at, mine + at, bytes);
    else
      group.send(control, mine + at, bytes, DataType::u8, peer)
          .receive(control, theirs + at, bytes, DataType::u8, peer);
  }
  group.start().wait();
}

/// AES-GCM does not commit to its key: a member could give each rank another key for the group, and
/// then show each another text under one record. So all compare what they got.
void compareGroupKeys(Communicator& control, const std::byte* keys, std::size_t bytes) {
  const cc::Digest mine = cc::digest({reinterpret_cast<const char*>(keys), bytes});
  const auto ranks = static_cast<std::size_t>(control.worldSize());
  std::vector<std::byte> sent, all(mine.size() * ranks);
  for (std::size_t r = 0; r < ranks; ++r) sent.insert(sent.end(), mine.begin(), mine.end());
  exchange(control, sent.data(), all.data(), mine.size());
  for (std::size_t r = 0; r < ranks; ++r)
    if (std::memcmp(all.data() + r * mine.size(), mine.data(), mine.size()) != 0)
      throw Error(ErrorCode::keyExchange, static_cast<int>(r), "device keys",
                  fmt::format("rank {} was given other group keys than rank {}: a member is lying",
                              r, control.rank()));
}

}  // namespace

SecretPages exchangeKeys(Communicator& control) {
  const auto ranks = static_cast<std::size_t>(control.worldSize());
  const std::size_t bytes = ranks * kKeyBytes;
  SecretPages pages(3 * bytes), own(bytes);
  std::byte* const mine = pages.data();
  std::byte* const theirs = mine + bytes;
  std::byte* const groups = theirs + bytes;
  drawKeys(mine, ranks);
  exchange(control, mine, theirs, kKeyBytes);
  drawKeys(own.data(), 1);
  for (std::size_t r = 1; r < ranks; ++r)
    std::memcpy(own.data() + r * kKeyBytes, own.data(), kKeyBytes);
  exchange(control, own.data(), groups, kKeyBytes);
  compareGroupKeys(control, groups, bytes);
  return pages;
}

}  // namespace lockstep::gpu
