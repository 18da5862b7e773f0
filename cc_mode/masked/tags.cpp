#include "cc_mode/masked/tags.hpp"

namespace lockstep::cc {

Tags::Tags(int worldSize, std::shared_ptr<const Aead> aead, const MaskKeys& keys,
           std::uint64_t maxBlocks)
    : worldSize_(static_cast<std::uint64_t>(worldSize)),
      stream_(std::move(aead), keys.tags, maxBlocks) {}

void Tags::begin(std::uint64_t call, std::size_t words) {
  constexpr int kBits = 58;  // so that the sum of 64 ranks' fits a word
  call_ = call & ((std::uint64_t{1} << kBits) - 1);
  const std::span fresh(multipliers_->data(), 1 + words);
  stream_.reserve(fresh.size());
  stream_.fill(0, fresh);
}

Wide Tags::tagOf(std::span<const std::uint64_t> words, std::uint64_t call) const {
  const std::span<const std::uint64_t> all(*multipliers_);
  return Wide{all[0]} * call + dotProduct(all.subspan(1, words.size()), words);
}

void Tags::write(std::span<const std::uint64_t> words,
                 std::span<std::uint64_t, kTagWords> tag) const {
  Wide whole = tagOf(words, call_);
  for (std::uint64_t& limb : tag) {
    limb = static_cast<std::uint32_t>(whole);
    whole >>= 32;
  }
}

bool Tags::verify(std::span<const std::uint64_t> sums,
                  std::span<const std::uint64_t, kTagWords> tag) const {
  Wide whole = 0;
  bool honest = true;  // as sums of so many words of 32 bits can be; the proof wants it
  for (std::size_t i = kTagWords; i-- > 0;) {
    honest = honest && tag[i] <= worldSize_ * 0xffff'ffffU;
    whole = (whole << 32) + tag[i];
  }
  return honest && whole == tagOf(sums, call_ * worldSize_);
}

}  // namespace lockstep::cc
