#include "executor/cuda/cache_file.hpp"

#include <cstdint>
#include <limits>

namespace lockstep::cuda {

namespace {

constexpr std::string_view kMagic = "LCKUBIN1";
constexpr std::uint64_t kUnknown = ~std::uint64_t{0};

template <class Bytes>
std::string_view textOf(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Writer {
 public:
  void number(std::uint64_t value) {
    for (int byte = 0; byte < 8; ++byte) text += static_cast<char>(value >> 8 * byte);
  }
  void number(std::optional<int> value) {
    number(value ? static_cast<std::uint64_t>(*value) : kUnknown);
  }
  void bytes(std::string_view value) {
    number(value.size());
    text += value;
  }

  std::string text;
};

/// What is read past the end is nothing, and so is all that follows.
class Reader {
 public:
  explicit Reader(std::string_view text) : left_(text) {}

  std::string_view take(std::uint64_t size) {
    if (size > left_.size()) sound_ = false;
    if (!sound_) return {};
    const auto taken = left_.substr(0, static_cast<std::size_t>(size));
    left_.remove_prefix(taken.size());
    return taken;
  }
  std::uint64_t number() {
    const std::string_view taken = take(8);
    std::uint64_t value = 0;
    for (std::size_t byte = 0; byte < taken.size(); ++byte)
      value |= std::uint64_t{static_cast<unsigned char>(taken[byte])} << 8 * byte;
    return value;
  }
  std::optional<int> resource() {
    const std::uint64_t value = number();
    if (value == kUnknown) return std::nullopt;
    if (value > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) sound_ = false;
    return static_cast<int>(value);
  }
  std::string_view bytes() { return take(number()); }

  /// Whether everything was there, and nothing else.
  bool isDone() const { return sound_ && left_.empty(); }

 private:
  std::string_view left_;
  bool sound_ = true;
};

}  // namespace

std::string withDigest(std::string_view rest) {
  return std::string(kMagic).append(textOf(cc::digest(rest))).append(rest);
}

std::string encodeCubin(const cc::Digest& key, const Cubin& cubin) {
  Writer to;
  to.text = textOf(key);
  to.bytes(cubin.name);
  to.bytes(cubin.architecture);
  to.bytes(textOf(cubin.image));
  to.number(cubin.resources.registers);
  to.number(cubin.resources.spillBytes);
  to.number(cubin.resources.stackBytes);
  to.number(cubin.resources.sharedBytes);
  to.bytes(cubin.log);
  return withDigest(to.text);
}

std::optional<Cubin> decodeCubin(const cc::Digest& key, std::string_view file) {
  if (!file.starts_with(kMagic)) return std::nullopt;
  file.remove_prefix(kMagic.size());
  if (file.size() < sizeof(cc::Digest)) return std::nullopt;
  const std::string_view digest = file.substr(0, sizeof(cc::Digest));
  file.remove_prefix(digest.size());
  if (digest != textOf(cc::digest(file))) return std::nullopt;

  Reader from(file);
  if (from.take(key.size()) != textOf(key)) return std::nullopt;
  Cubin cubin;
  cubin.name = from.bytes();
  cubin.architecture = from.bytes();
  const std::string_view image = from.bytes();
  const auto* first = reinterpret_cast<const std::byte*>(image.data());
  cubin.image.assign(first, first + image.size());
  cubin.resources.registers = from.resource();
  cubin.resources.spillBytes = from.resource();
  cubin.resources.stackBytes = from.resource();
  cubin.resources.sharedBytes = from.resource();
  cubin.log = from.bytes();
  if (!from.isDone()) return std::nullopt;
  return cubin;
}

}  // namespace lockstep::cuda
