// Somebody overwrites ciphertext while records are sealed and opened. Sealed in private memory and
// copied out, copied in once and opened there, nothing wrong is ever accepted. The same race
// against OpenSSL at work in shared memory itself is won by the writer: what is tested for is real.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "base/clock.hpp"
#include "base/cpu.hpp"
#include "base/mapping.hpp"
#include "executor/host/records.hpp"

namespace lockstep::host {
namespace {

using namespace std::chrono_literals;

// Short enough for OpenSSL to encrypt all of it, and then to authenticate all of it.
constexpr std::size_t kBytes = 256;
using Text = std::array<std::byte, kBytes>;
using Block = std::array<std::uint64_t, 2>;
constexpr Block kForged{0x6666666666666666, 0x6666666666666666};

/// A slot, and somebody who writes one block of it all the time: the forged one, or that and the
/// genuine one by turns.
class Slot {
 public:
  Slot() { std::memset(map_.data(), 0, kPage); }
  std::byte* data() const { return map_.data(); }

  class Writer {
   public:
    Writer(const Slot& slot, const Block& other)
        : thread_([this, block = reinterpret_cast<std::uint64_t*>(slot.data() + kOffset), other] {
            write(block, other);
          }) {}
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    ~Writer() {
      over_ = true;
      thread_.join();
    }

   private:
    /// With pauses of random length: who writes without pause keeps the line to itself, and the
    /// other core's stores and loads meet in its store buffer, where nobody can come between. A
    /// race on purpose, which ThreadSanitizer need not tell.
    __attribute__((no_sanitize("thread"))) void write(volatile std::uint64_t* to,
                                                      const Block& other) const {
      std::uint32_t random = 1, turn = 0;
      while (!over_.load(std::memory_order_relaxed)) {
        ++turn;
        for (const Block& block : {kForged, other}) {
          to[0] = block[0];
          to[1] = block[1];
          random = random * 1664525 + 1013904223;
          for (std::uint32_t pause = random >> (25 + turn % 4); pause != 0; --pause) cpuRelax();
        }
      }
    }
    std::atomic<bool> over_{false};
    std::thread thread_;  // last: it uses the others
  };

  static constexpr std::size_t kOffset = 64;  ///< of the block
  Block block() const {
    Block now;
    std::memcpy(now.data(), data() + kOffset, sizeof now);
    return now;
  }

 private:
  Mapping map_ =
      Mapping::ofFile(createSharedMemory("slot", kPage), kPage, Mapping::Access::readWrite);
};

Text textOf(std::uint64_t trial) {
  Text text;
  for (std::size_t i = 0; i < kBytes; ++i) text[i] = static_cast<std::byte>(trial * 31 + i);
  return text;
}

constexpr std::array<std::byte, cc::kKeyBytes> kKey{std::byte{9}};

/// What became of trials.
struct Score {
  std::uint64_t right = 0, refused = 0, wrong = 0;
  std::uint64_t trials() const { return right + refused + wrong; }
  void count(bool accepted, const Text& got, const Text& wanted) {
    ++(!accepted ? refused : got == wanted ? right : wrong);
  }
};

// ---- as ranks do it ----

class Ranks {
 public:
  void seal(std::uint64_t trial, const Text& text, std::byte* slot) {
    const std::byte* sealed = sender_.seal(*key_, trial, {}, text.data(), kBytes);
    copyRecordOut(shm::SharedBytes(slot), kBytes, 0, sealed, ~std::size_t{0});
  }
  bool open(std::uint64_t trial, const std::byte* slot, Text& text) {
    copyRecordIn(receiver_, shm::ConstSharedBytes(slot), kBytes, 0);
    return receiver_.open(*key_, trial, {}, kBytes, text.data());
  }

 private:
  std::shared_ptr<const cc::Aead> aead_ = cc::createAead();
  std::unique_ptr<cc::ExpandedKey> key_ = aead_->expand(kKey);
  RecordSealer sender_{aead_.get()}, receiver_{aead_.get()};
};

// ---- as one must not ----

/// OpenSSL, working where the record lies. (Ours refuses to.)
class InPlace {
 public:
  void seal(std::uint64_t trial, const Text& text, std::byte* slot) {
    int n = 0;
    require(EVP_EncryptInit_ex(context_.get(), EVP_aes_256_gcm(), nullptr, in(kKey.data()),
                               in(cc::nonceOf(trial).data())));
    require(EVP_EncryptUpdate(context_.get(), nullptr, &n, name(), sizeof(RecordName)));
    require(EVP_EncryptUpdate(context_.get(), out(slot), &n, in(text.data()), kBytes));
    require(EVP_EncryptFinal_ex(context_.get(), out(slot), &n));
    require(
        EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, cc::kTagBytes, slot + kBytes));
  }
  bool open(std::uint64_t trial, const std::byte* slot, Text& text) {
    cc::Tag tag;
    std::memcpy(tag.data(), slot + kBytes, tag.size());
    int n = 0;
    require(EVP_DecryptInit_ex(context_.get(), EVP_aes_256_gcm(), nullptr, in(kKey.data()),
                               in(cc::nonceOf(trial).data())));
    require(EVP_DecryptUpdate(context_.get(), nullptr, &n, name(), sizeof(RecordName)));
    require(EVP_DecryptUpdate(context_.get(), out(text.data()), &n, in(slot), kBytes));
    require(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, cc::kTagBytes, tag.data()));
    return EVP_DecryptFinal_ex(context_.get(), out(text.data()), &n) == 1;
  }

 private:
  static const unsigned char* in(const std::byte* p) {
    return reinterpret_cast<const unsigned char*>(p);
  }
  /// As the ranks': of the record that all trials are.
  static const unsigned char* name() {
    static constexpr RecordName kName{};
    return reinterpret_cast<const unsigned char*>(&kName);
  }
  static unsigned char* out(std::byte* p) { return reinterpret_cast<unsigned char*>(p); }
  static void require(int done) {
    if (done != 1) throw std::runtime_error("OpenSSL does not do what it is told");
  }
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  std::unique_ptr<EVP_CIPHER_CTX, Free> context_{EVP_CIPHER_CTX_new()};
};

// ---- races ----

/// Goes on until `enough`, or for a minute (it takes a second).
template <class Trial, class Enough>
Score race(Trial trial, Enough enough) {
  Score score;
  const Deadline deadline = Deadline::in(60s);
  for (std::uint64_t i = 0; !enough(score); ++i) {
    trial(i, score);
    if (i % 1024 == 0 && deadline.passed()) break;
  }
  return score;
}

/// The writer puts a block of its own into what `sealer` seals; an honest reader opens it.
template <class Sealer, class Enough>
Score raceWhileSealing(Enough enough) {
  Slot slot;
  Sealer sealer;
  Ranks reader;
  const Slot::Writer writer(slot, kForged);
  return race(
      [&](std::uint64_t i, Score& score) {
        const Text text = textOf(i);
        Text got{};
        sealer.seal(i, text, slot.data());
        // A message lies there for a while; now and then long enough for any writer.
        for (int wait = i % 16 == 0 ? 300 : 0; wait != 0; --wait) cpuRelax();
        const bool accepted = reader.open(i, slot.data(), got);
        score.count(accepted, got, text);
      },
      enough);
}

/// The writer changes a block of an honest record, and changes it back, while `opener` opens it.
template <class Opener, class Enough>
Score raceWhileOpening(Enough enough) {
  Slot slot;
  Ranks sender;
  Opener opener;
  const Text text = textOf(0);
  sender.seal(0, text, slot.data());
  const Slot::Writer writer(slot, slot.block());
  return race(
      [&](std::uint64_t, Score& score) {
        Text got{};
        const bool accepted = opener.open(0, slot.data(), got);
        score.count(accepted, got, text);
      },
      enough);
}

/// So many, and the writer was there, and ranks got through.
bool isLong(const Score& score) {
  return score.trials() >= 100000 && score.refused >= 10 && score.right >= 10;
}
bool isWon(const Score& score) {
  return score.wrong != 0;
}

TEST(RacingWriter, NeverChangesWhatRanksSeal) {
  const Score score = raceWhileSealing<Ranks>(isLong);
  EXPECT_EQ(score.wrong, 0U);
  EXPECT_GE(score.trials(), 100000U);
  EXPECT_GT(score.refused, 0U) << "nobody wrote";
  EXPECT_GT(score.right, 0U);
}

TEST(RacingWriter, NeverChangesWhatRanksOpen) {
  const Score score = raceWhileOpening<Ranks>(isLong);
  EXPECT_EQ(score.wrong, 0U);
  EXPECT_GE(score.trials(), 100000U);
  EXPECT_GT(score.refused, 0U) << "nobody wrote";
  EXPECT_GT(score.right, 0U);
}

TEST(RacingWriter, ChangesWhatIsSealedInSharedMemory) {
  EXPECT_GT(raceWhileSealing<InPlace>(isWon).wrong, 0U);
}

TEST(RacingWriter, ChangesWhatIsOpenedInSharedMemory) {
  EXPECT_GT(raceWhileOpening<InPlace>(isWon).wrong, 0U);
}

}  // namespace
}  // namespace lockstep::host
