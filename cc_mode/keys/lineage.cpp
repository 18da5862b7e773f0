#include "cc_mode/keys/lineage.hpp"

#include <algorithm>
#include <concepts>

#include "base/fail.hpp"
#include "cc_mode/forked.hpp"

namespace lockstep::cc {
namespace {

/// Big-endian.
void append(std::vector<std::byte>& info, std::unsigned_integral auto number) {
  for (int shift = 8 * static_cast<int>(sizeof number) - 8; shift >= 0; shift -= 8)
    info.push_back(static_cast<std::byte>(number >> shift));
}

void append(std::vector<std::byte>& info, std::string_view text) {
  append(info, static_cast<std::uint16_t>(text.size()));
  const Bytes bytes = bytesOf(text);
  info.insert(info.end(), bytes.begin(), bytes.end());
}

}  // namespace

Lineage::Lineage(Bytes keys, Bytes transcript) : secret_(std::in_place) {
  Secret<Hash> root;
  hkdfExtract(transcript, keys, *root);
  hkdfExpand(*root, bytesOf("lockstep children"), **secret_);
}

std::vector<std::byte> Lineage::childPsk(const Birth& birth) const {
  if (!secret_) return {};
  const Hash& secret = **secret_;
  if (std::ranges::all_of(secret, [](std::byte b) { return b == std::byte{0}; }))
    refuseForkedChild();
  // Every part has a fixed length or says its own, so different births differ here.
  std::vector<std::byte> info;
  append(info, "lockstep child");
  append(info, birth.how);
  append(info, birth.number);
  append(info, static_cast<std::uint64_t>(birth.color));
  append(info, static_cast<std::uint16_t>(birth.ranks.size()));
  for (const int rank : birth.ranks) append(info, static_cast<std::uint16_t>(rank));
  append(info, static_cast<std::uint16_t>(birth.counts.size()));
  for (const std::uint64_t count : birth.counts) append(info, count);
  std::vector<std::byte> psk(kHashBytes);
  hkdfExpand(secret, info, psk);
  return psk;
}

}  // namespace lockstep::cc
