// Sealing and opening one record. Everything an AEAD sees is private memory: a record is sealed
// here and copied out, copied in here and the copy opened.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/secret.hpp"
#include "cc_mode/aead/aead.hpp"
#include "executor/host/plan.hpp"
#include "transport/shm/shared_bytes.hpp"

namespace lockstep::host {

/// What a record is bound to besides its key; all of it from the plan and call of whoever seals or
/// opens. Laid out without padding: these bytes are the additional authenticated data. What is
/// narrow here is checked where it is made (Run::begin) or bounded by the assertions below.
struct RecordName {
  std::array<std::byte, 16> digest{};  ///< Plan::digest
  std::uint64_t sequence = 0;          ///< of the call
  std::uint64_t count = 0;             ///< elements of the call
  std::uint32_t tile = 0;
  std::uint32_t index = 0;   ///< of the message under its key in the tile
  std::uint32_t epoch = 0;   ///< of the key
  std::uint8_t record = 0;   ///< in the message
  std::uint8_t lane = 0;     ///< of the sender's program
  std::int8_t sender = 0;    ///< who sealed it
  std::int8_t receiver = 0;  ///< or -1 for the group
};
static_assert(sizeof(RecordName) == 48 && std::has_unique_object_representations_v<RecordName>);
static_assert(shm::kSlotBytes / kRecordBytes <= std::numeric_limits<std::uint8_t>::max());
static_assert(kMaxLanes <= std::numeric_limits<std::uint8_t>::max());
static_assert(schedule::kMaxWorld <= std::numeric_limits<std::int8_t>::max());

/// Knows private memory only: whoever uses it copies records out to shared memory and in from it.
class RecordSealer {
 public:
  explicit RecordSealer(const cc::Aead* aead);

  /// Seals `plain`. The record, ciphertext and then tag, is valid until the next seal or copyIn.
  const std::byte* seal(cc::ExpandedKey& key, std::uint64_t nonce, const RecordName& name,
                        const std::byte* plain, std::size_t bytes);
  /// Where a record, ciphertext and then tag, must have been copied before `open`.
  std::byte* copyIn() { return pages_.data(); }
  /// Opens the record of `bytes` that was copied in. False: it did not verify, and `plain` is
  /// zeroed.
  [[nodiscard]] bool open(cc::ExpandedKey& key, std::uint64_t nonce, const RecordName& name,
                          std::size_t bytes, std::byte* plain);
  /// Memory for one record of plaintext, by operand.
  std::byte* plain(std::size_t index);

 private:
  const cc::Aead* aead_;
  SecretPages pages_;
};

/// What a message of `bytes` takes when it is sealed: its records' ciphertexts one after the other,
/// then their tags.
constexpr std::size_t sealedBytes(std::size_t bytes) {
  return bytes + recordsOf(bytes) * cc::kTagBytes;
}
/// Copies a record of a sealed message of `bytes` from shared memory to where it can be opened.
void copyRecordIn(RecordSealer& sealer, shm::ConstSharedBytes message, std::size_t bytes,
                  std::uint32_t record);
/// Copies what was `sealed` to its place in a message of `bytes` in shared memory.
void copyRecordOut(shm::SharedBytes message, std::size_t bytes, std::uint32_t record,
                   const std::byte* sealed, std::size_t streamingBytes);

// What is in shared memory has no way to a cipher but by copyRecordIn.
static_assert(!std::is_constructible_v<cc::ConstPrivateBytes, shm::ConstSharedBytes, std::size_t> &&
              !std::is_constructible_v<cc::ConstPrivateBytes, shm::ConstSharedBytes> &&
              !std::is_constructible_v<cc::PrivateBytes, shm::SharedBytes, std::size_t> &&
              !std::is_constructible_v<cc::PrivateBytes, shm::SharedBytes>);
static_assert(!std::is_convertible_v<shm::ConstSharedBytes, const void*> &&
              !std::is_convertible_v<shm::SharedBytes, const void*>);

}  // namespace lockstep::host
