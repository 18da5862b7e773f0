// The device's AES-256-GCM as an AEAD of vectors of bytes, run by a block of one thread or, on
// block_platform.cuh, of many.
#pragma once

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "cc_mode/aead_fixture.hpp"
#include "executor/cuda/prelude/gcm.cuh"

namespace lockstep::test {

using Bits128s = std::vector<device::Bits128>;  ///< memory at 16 bytes

inline device::NonceWords wordsOf(const cc::Nonce& nonce) {
  device::NonceWords words;
  std::memcpy(words.word, nonce.data(), sizeof words.word);
  return words;
}

inline Bytes randomBytes(std::mt19937_64& random, std::size_t size) {
  Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

/// A slot as a reader has it: ciphertext at 16 bytes, then the tag.
struct Slot {
  explicit Slot(std::size_t size) : memory((size + 15) / 16 + 1), bytes(size) {
    std::memset(memory.data(), 0x5a, memory.size() * sizeof memory[0]);
  }
  explicit Slot(const Sealed& sealed) : Slot(sealed.cipher.size()) {
    if (bytes != 0) std::memcpy(out(), sealed.cipher.data(), bytes);
    std::memcpy(tag(), sealed.tag.data(), sealed.tag.size());
  }
  device::u8* out() { return reinterpret_cast<device::u8*>(memory.data()); }
  device::u8* tag() { return out() + (memory.size() - 1) * 16; }
  Sealed sealed() {
    Sealed sealed{.cipher = Bytes(bytes)};
    if (bytes != 0) std::memcpy(sealed.cipher.data(), out(), bytes);
    std::memcpy(sealed.tag.data(), tag(), sealed.tag.size());
    return sealed;
  }

  Bits128s memory;
  std::size_t bytes;
};

template <device::Cipher cipher>
class DeviceGcm {
 public:
  using Shared = device::GcmShared<cipher>;

  explicit DeviceGcm(unsigned threads = 1) : threads_(threads), key_(new device::SealingKey) {
    std::memset(static_cast<void*>(key_.get()), 0xa5, sizeof *key_);
  }
  device::SealingKey& key() { return *key_; }

  /// Runs `body(shared)` by the block.
  template <class Body>
  void run(Body body) {
    const auto start = [&] {
      auto& shared = *reinterpret_cast<Shared*>(device::sharedMemory());
      device::prepareShared(shared);
      body(shared);
    };
#ifdef LOCKSTEP_PLATFORM
    device::runBlock(threads_, sizeof(Shared), start);
#else
    static_cast<void>(threads_);
    static_assert(sizeof(Shared) <= LOCKSTEP_SHARED_BYTES);
    std::memset(device::sharedMemory(), 0xa5, sizeof(Shared));
    start();
#endif
  }

  Sealed seal(const Bytes& rawKey, const cc::Nonce& nonce, const Bytes& aad, const Bytes& plain,
              std::size_t misaligned = 0) {
    Slot slot(plain.size());
    Bits128s memory = place(plain, misaligned);
    run([&](Shared& shared) {
      device::prepareKey(*key_, bytesOf(rawKey), shared);
      device::useKey(*key_, 0, shared);
      device::sealText(*key_, wordsOf(nonce), bytesOf(aad), size(aad), at(memory, misaligned),
                       device::SlotText{{slot.out(), size(plain)}, slot.tag()}, size(plain),
                       shared);
    });
    return slot.sealed();
  }

  /// `plain` gets what open left there. Fails when the threads do not agree on the answer, or bytes
  /// around the plaintext changed.
  bool open(const Bytes& rawKey, const cc::Nonce& nonce, const Bytes& aad, const Sealed& sealed,
            Bytes& plain, std::size_t misaligned = 0) {
    plain.assign(sealed.cipher.size(), std::byte{0xa5});
    Slot slot(sealed);
    Bits128s memory = place(plain, misaligned);
    const Bits128s before = memory;
    std::vector<char> answers(threads_);
    run([&](Shared& shared) {
      device::prepareKey(*key_, bytesOf(rawKey), shared);
      device::useKey(*key_, 0, shared);
      answers[device::thread()] =
          device::openText(*key_, wordsOf(nonce), bytesOf(aad), size(aad), slot.out(), slot.tag(),
                           at(memory, misaligned), size(plain), shared);
    });
    for (const char answer : answers) EXPECT_EQ(answer, answers[0]);
    const std::size_t end = misaligned + plain.size();
    EXPECT_EQ(std::memcmp(memory.data(), before.data(), misaligned), 0);
    EXPECT_EQ(std::memcmp(at(memory, end), reinterpret_cast<const char*>(before.data()) + end,
                          memory.size() * 16 - end),
              0);
    if (!plain.empty()) std::memcpy(plain.data(), at(memory, misaligned), plain.size());
    return answers[0] != 0;
  }

 private:
  static Bits128s place(const Bytes& bytes, std::size_t misaligned) {
    Bits128s memory((bytes.size() + misaligned) / 16 + 2);
    if (!bytes.empty()) std::memcpy(at(memory, misaligned), bytes.data(), bytes.size());
    return memory;
  }
  static device::u8* at(Bits128s& memory, std::size_t offset) {
    return reinterpret_cast<device::u8*>(memory.data()) + offset;
  }
  static const device::u8* bytesOf(const Bytes& bytes) {
    return reinterpret_cast<const device::u8*>(bytes.data());
  }
  static device::u32 size(const Bytes& bytes) {
    return static_cast<device::u32>(bytes.size());
  }

  unsigned threads_;
  std::unique_ptr<device::SealingKey> key_;
};

}  // namespace lockstep::test
