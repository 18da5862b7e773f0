#include "executor/host/records.hpp"

#include <cstring>

#include "executor/host/copy.hpp"

namespace lockstep::host {

namespace {
// One record of ciphertext, then one of plaintext per operand of the widest operation (all ranks
// and a result).
constexpr std::size_t kPlains = schedule::kMaxWorld + 1;
}  // namespace

RecordSealer::RecordSealer(const cc::Aead* aead) : aead_(aead) {
  if (aead != nullptr) pages_ = SecretPages((1 + kPlains) * kRecordBytes);
}

std::byte* RecordSealer::plain(std::size_t index) {
  return pages_.data() + (1 + index) * kRecordBytes;
}

void RecordSealer::seal(cc::ExpandedKey& key, std::uint64_t nonce, const RecordName& name,
                        const std::byte* plain, std::size_t bytes, std::byte* cipher,
                        std::byte* tag, bool streaming) {
  cc::Tag privateTag;
  std::byte* privateCipher = pages_.data();
  aead_->seal(key, cc::nonceOf(nonce), cc::ConstPrivateBytes(&name, sizeof name),
              cc::ConstPrivateBytes(plain, bytes), cc::PrivateBytes(privateCipher, bytes),
              privateTag);
  if (bytes != 0) copyBytes(cipher, privateCipher, bytes, streaming);
  std::memcpy(tag, privateTag.data(), privateTag.size());
}

bool RecordSealer::open(cc::ExpandedKey& key, std::uint64_t nonce, const RecordName& name,
                        const std::byte* cipher, const std::byte* tag, std::size_t bytes,
                        std::byte* plain) {
  cc::Tag privateTag;
  std::byte* privateCipher = pages_.data();
  if (bytes != 0) std::memcpy(privateCipher, cipher, bytes);
  std::memcpy(privateTag.data(), tag, privateTag.size());
  return aead_->open(key, cc::nonceOf(nonce), cc::ConstPrivateBytes(&name, sizeof name),
                     cc::ConstPrivateBytes(privateCipher, bytes), privateTag,
                     cc::PrivateBytes(plain, bytes));
}

}  // namespace lockstep::host
