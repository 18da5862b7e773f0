#include "communicator/device/keys.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <openssl/rand.h>

#include "base/fail.hpp"
#include "cc_mode/digest.hpp"

namespace lockstep::gpu {
namespace {

constexpr std::size_t kKeyBytes = 32;

void drawKeys(std::byte* to, std::size_t keys) {
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(to), static_cast<int>(keys * kKeyBytes)) !=
      1)
    fail(ErrorCode::system, "OpenSSL has no random bytes for keys");
}

/// AES-GCM does not commit to its key: a member could give each rank another key for the group, and
/// then show each another text under one record. So all compare what they got.
void compareGroupKeys(Communicator& control, const std::byte* keys, std::size_t bytes) {
  const cc::Digest mine = cc::digest({reinterpret_cast<const char*>(keys), bytes});
  const auto ranks = static_cast<std::size_t>(control.worldSize());
  std::vector<std::byte> all(mine.size() * ranks);
  control.allGather(mine.data(), all.data(), mine.size(), DataType::u8);
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
  SecretPages pages(3 * bytes);
  std::byte* const mine = pages.data();
  std::byte* const theirs = mine + bytes;
  std::byte* const groups = theirs + bytes;
  drawKeys(mine, ranks);
  control.allToAll(mine, theirs, kKeyBytes, DataType::u8);
  std::byte* const own = groups + static_cast<std::size_t>(control.rank()) * kKeyBytes;
  drawKeys(own, 1);
  control.allGather(own, groups, kKeyBytes, DataType::u8);  // in place
  compareGroupKeys(control, groups, bytes);
  return pages;
}

}  // namespace lockstep::gpu
