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

void copyRecordIn(RecordSealer& sealer, shm::ConstSharedBytes message, std::size_t bytes,
                  std::uint32_t record) {
  const std::size_t n = sizeOfRecord(bytes, record);
  std::byte* to = sealer.copyIn();
  message.copyOut(std::size_t{record} * kRecordBytes, to, n);
  message.copyOut(bytes + record * cc::kTagBytes, to + n, cc::kTagBytes);
}

void copyRecordOut(shm::SharedBytes message, std::size_t bytes, std::uint32_t record,
                   const std::byte* sealed, std::size_t streamingBytes) {
  const std::size_t n = sizeOfRecord(bytes, record);
  const auto copy = [&](std::byte* to, const std::byte* from, std::size_t size) {
    copyBytes(to, from, size, size >= streamingBytes);
  };
  message.copyIn(std::size_t{record} * kRecordBytes, sealed, n, copy);
  message.copyIn(bytes + record * cc::kTagBytes, sealed + n, cc::kTagBytes);
}

}  // namespace lockstep::host
