#include "cc_mode/masked/tags.hpp"

namespace lockstep::cc {

Tags::Tags(int worldSize, std::shared_ptr<const Aead> aead, const MaskKeys& keys)
    : worldSize_(static_cast<std::uint64_t>(worldSize)), stream_(std::move(aead), keys.tags) {}

void Tags::begin(std::uint64_t call) {
  constexpr int kBits = 58;  // so that the sum of 64 ranks' fits a word
  call_ = call & ((std::uint64_t{1} << kBits) - 1);
  stream_.fill(stream_.reserve(1), *multipliers_);
}

Tags::Wide Tags::tagOf(std::span<const std::uint64_t> words, std::uint64_t call) const {
  const std::uint64_t* a = multipliers_->data();
  // Two sums, so that an addition need not wait for the one before it.
  Wide even = Wide{a[kChunkWords]} * call, odd = 0;
  std::size_t i = 0;
  for (; i + 2 <= words.size(); i += 2) {
    even += Wide{a[i]} * words[i];
    odd += Wide{a[i + 1]} * words[i + 1];
  }
  if (i < words.size()) even += Wide{a[i]} * words[i];
  return even + odd;
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
