// One record across the trust boundary: what is bound to it, and what happens to one that was
// changed.
#include "executor/host/records.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "cc_mode/aead/aead.hpp"

namespace lockstep::host {
namespace {

class Records : public ::testing::Test {
 protected:
  std::shared_ptr<const cc::Aead> aead_ = cc::createAead("");
  std::array<std::byte, cc::kKeyBytes> key_{std::byte{1}, std::byte{2}};
  std::unique_ptr<cc::ExpandedKey> expanded_ = aead_->expand(key_);
  RecordSealer sealer_{aead_.get()}, opener_{aead_.get()};
  std::vector<std::byte> cipher_ = std::vector<std::byte>(kRecordBytes);
  std::array<std::byte, cc::kTagBytes> tag_{};

  static std::vector<std::byte> text(std::size_t bytes) {
    std::vector<std::byte> plain(bytes);
    for (std::size_t i = 0; i < bytes; ++i) plain[i] = static_cast<std::byte>(i * 7 + 1);
    return plain;
  }
  void seal(const std::vector<std::byte>& plain, std::uint64_t nonce, const RecordName& name) {
    const std::byte* record = sealer_.seal(*expanded_, nonce, name, plain.data(), plain.size());
    std::copy_n(record, plain.size(), cipher_.begin());
    std::copy_n(record + plain.size(), tag_.size(), tag_.begin());
  }
  bool open(std::uint64_t nonce, const RecordName& name, std::vector<std::byte>& plain) {
    std::copy_n(cipher_.begin(), plain.size(), opener_.copyIn());
    std::copy_n(tag_.begin(), tag_.size(), opener_.copyIn() + plain.size());
    return opener_.open(*expanded_, nonce, name, plain.size(), plain.data());
  }
};

TEST_F(Records, OpenToWhatWasSealed) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{16},
                                  std::size_t{1000}, kRecordBytes - 1, kRecordBytes}) {
    const auto plain = text(bytes);
    seal(plain, 5, {});
    if (bytes >= 16) {
      EXPECT_FALSE(std::equal(plain.begin(), plain.end(), cipher_.begin()));
    }
    std::vector<std::byte> got(bytes, std::byte{0xee});
    EXPECT_TRUE(open(5, {}, got)) << bytes;
    EXPECT_EQ(got, plain);
  }
}

TEST_F(Records, AreBoundToEveryFieldOfTheirName) {
  const RecordName name{.digest = {},
                        .sequence = 1,
                        .count = 2,
                        .tile = 3,
                        .index = 4,
                        .epoch = 5,
                        .record = 6,
                        .lane = 7,
                        .sender = 8,
                        .receiver = 9};
  const auto plain = text(64);
  seal(plain, 9, name);
  std::vector<std::byte> got(64);
  ASSERT_TRUE(open(9, name, got));
  EXPECT_FALSE(open(10, name, got));  // the nonce
  // Every byte: the name has no padding.
  for (std::size_t i = 0; i < sizeof name; ++i) {
    RecordName other = name;
    reinterpret_cast<unsigned char*>(&other)[i] ^= 1;
    EXPECT_FALSE(open(9, other, got)) << "byte " << i << " of the name";
  }
}

TEST_F(Records, ThatWereChangedGiveNothing) {
  const auto plain = text(100);
  seal(plain, 1, {});
  const std::vector<std::byte> zeros(100);
  for (const std::size_t at : {std::size_t{0}, std::size_t{50}, std::size_t{99}}) {
    std::vector<std::byte> got = plain;
    cipher_[at] ^= std::byte{0x80};
    EXPECT_FALSE(open(1, {}, got));
    EXPECT_EQ(got, zeros);
    cipher_[at] ^= std::byte{0x80};
  }
  for (std::byte& b : tag_) {
    std::vector<std::byte> got = plain;
    b ^= std::byte{1};
    EXPECT_FALSE(open(1, {}, got));
    EXPECT_EQ(got, zeros);
    b ^= std::byte{1};
  }
  std::vector<std::byte> got(100);
  EXPECT_TRUE(open(1, {}, got));
}

}  // namespace
}  // namespace lockstep::host
