// Any bytes as the file of a pre-shared key: the key whose hexadecimal text they are, or an error
// that does not repeat them.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

#include "base/fd.hpp"
#include "cc_mode/keys/handshake.hpp"
#include "cc_mode/keys/psk.hpp"
#include "fuzz/input.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

/// A file of this process, its owner's alone.
class KeyFile {
 public:
  KeyFile() : file_(::mkstemp(path_)) { demand(static_cast<bool>(file_)); }
  ~KeyFile() { ::unlink(path_); }
  void write(std::string_view text) const {
    demand(::ftruncate(file_.get(), 0) == 0 &&
           ::pwrite(file_.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  }
  const char* path() const { return path_; }

 private:
  char path_[32] = "/tmp/lockstep-psk-fuzz-XXXXXX";
  Fd file_;
};

inline std::string hexOf(std::span<const std::byte> key) {
  std::string text;
  for (const std::byte b : key) text += fmt::format("{:02x}", std::to_integer<unsigned>(b));
  return text;
}

inline void pskFile(std::string_view text) {
  static const KeyFile file;
  file.write(text);
  try {
    const auto key = cc::readPskFile(file.path());
    demand(key.size() >= cc::kMinPskBytes && key.size() <= 1024);
    std::string expected(text.substr(0, text.find_last_not_of(" \t\r\n") + 1));
    for (char& c : expected)
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    demand(hexOf(key) == expected);
  } catch (const Error& error) {
    demand(error.code() == ErrorCode::invalidArgument);
    // Digits of a key that is refused are not shown to anyone.
    const std::string_view said = error.what();
    const auto isDigit = [](char c) {
      return std::string_view("0123456789abcdefABCDEF").find(c) != std::string_view::npos;
    };
    for (std::size_t at = 0; at + 12 <= text.size(); at += 12)
      if (std::all_of(text.begin() + at, text.begin() + at + 12, isDigit))
        demand(said.find(text.substr(at, 12)) == said.npos);
  }
}

}  // namespace lockstep::fuzz
