#include "executor/host/records.hpp"

#include <cstring>

#include "executor/host/copy.hpp"

namespace lockstep::host {

namespace {
// One record as it crosses, then one of plaintext per operand of the widest operation (all ranks
// and a result). Plaintext begins at a cache line.
constexpr std::size_t kPlains = schedule::kMaxWorld + 1;
constexpr std::size_t kSealedBytes = kRecordBytes + kCacheLine;
static_assert(cc::kTagBytes <= kCacheLine);
}  // namespace

RecordSealer::RecordSealer(const cc::Aead* aead) : aead_(aead) {
  if (aead != nullptr) pages_ = SecretPages(kSealedBytes + kPlains * kRecordBytes);
}

std::byte* RecordSealer::plain(std::size_t index) {
  return pages_.data() + kSealedBytes + index * kRecordBytes;
}

const std::byte* RecordSealer::seal(cc::ExpandedKey& key, std::uint64_t nonce,
                                    const RecordName& name, const std::byte* plain,
                                    std::size_t bytes) {
  std::byte* record = pages_.data();
  cc::Tag tag;
  aead_->seal(key, cc::nonceOf(nonce), cc::ConstPrivateBytes(&name, sizeof name),
              cc::ConstPrivateBytes(plain, bytes), cc::PrivateBytes(record, bytes), tag);
  std::memcpy(record + bytes, tag.data(), tag.size());
  return record;
}

bool RecordSealer::open(cc::ExpandedKey& key, std::uint64_t nonce, const RecordName& name,
                        std::size_t bytes, std::byte* plain) {
  const std::byte* record = pages_.data();
  cc::Tag tag;
  std::memcpy(tag.data(), record + bytes, tag.size());
  return aead_->open(key, cc::nonceOf(nonce), cc::ConstPrivateBytes(&name, sizeof name),
                     cc::ConstPrivateBytes(record, bytes), tag, cc::PrivateBytes(plain, bytes));
}

void copyRecordIn(RecordSealer& sealer, const std::byte* message, std::size_t bytes,
                  std::uint32_t record) {
  const std::size_t n = sizeOfRecord(bytes, record);
  std::byte* to = sealer.copyIn();
  if (n != 0) std::memcpy(to, message + std::size_t{record} * kRecordBytes, n);
  std::memcpy(to + n, message + bytes + record * cc::kTagBytes, cc::kTagBytes);
}

void copyRecordOut(std::byte* message, std::size_t bytes, std::uint32_t record,
                   const std::byte* sealed, std::size_t streamingBytes) {
  const std::size_t n = sizeOfRecord(bytes, record);
  copyBytes(message + std::size_t{record} * kRecordBytes, sealed, n, n >= streamingBytes);
  std::memcpy(message + bytes + record * cc::kTagBytes, sealed + n, cc::kTagBytes);
}

}  // namespace lockstep::host
