#include "cc_mode/keys/psk.hpp"

#include <array>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include "base/fail.hpp"
#include "base/fd.hpp"
#include "base/secret.hpp"
#include "cc_mode/keys/handshake.hpp"

namespace lockstep::cc {
namespace {

constexpr std::size_t kFreshBytes = 32;
constexpr std::size_t kMaxBytes = 1024;
constexpr std::size_t kMaxText = 2 * kMaxBytes + 16;  // room for blanks; a full one is too long
static_assert(kFreshBytes >= kMinPskBytes);

constexpr std::string_view kDigits = "0123456789abcdef";

std::optional<unsigned> digitOf(char c) {
  if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  const std::size_t digit = kDigits.find(c);
  if (digit == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned>(digit);
}

/// What is written must not be left half done: a truncated key would still look like a file.
void writeAll(const Fd& fd, const char* text, std::size_t size, const std::string& path) {
  while (size > 0) {
    const ssize_t n = ::write(fd.get(), text, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      ::unlink(path.c_str());
      errno = error;
      failErrno("cannot write the key to '{}'", path);
    }
    text += n;
    size -= static_cast<std::size_t>(n);
  }
}

std::size_t readAll(const Fd& fd, char* text, std::size_t size, const std::string& path) {
  std::size_t have = 0;
  while (have < size) {
    const ssize_t n = ::read(fd.get(), text + have, size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) failErrno("cannot read the key file '{}'", path);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  return have;
}

/// A key that other users can read is no secret, and one they can write is no key of ours.
void checkOwnerOnly(const Fd& fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) failErrno("cannot look at the key file '{}'", path);
  if (!S_ISREG(status.st_mode))
    fail(ErrorCode::invalidArgument, "the key file '{}' is not an ordinary file", path);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    fail(ErrorCode::invalidArgument,
         "the key file '{}' has mode {:04o}, so others may know or change the key: make a new key, "
         "or `chmod 600` it if you know that none did",
         path, status.st_mode & 07777U);
}

std::vector<std::byte> decode(std::string_view text, const std::string& path) {
  const bool tooLong = text.size() == kMaxText;
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
  if (tooLong || text.size() > 2 * kMaxBytes || text.size() % 2 != 0)
    fail(ErrorCode::invalidArgument,
         "the key file '{}' must hold one line of hexadecimal text, two digits per byte and at "
         "most {} bytes",
         path, kMaxBytes);
  std::vector<std::byte> key;
  key.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto high = digitOf(text[i]), low = digitOf(text[i + 1]);
    if (!high || !low)
      fail(ErrorCode::invalidArgument,
           "the key file '{}' has something else than a hexadecimal "
           "digit near character {}",
           path, i + 1);
    key.push_back(static_cast<std::byte>(*high << 4 | *low));
  }
  if (key.size() < kMinPskBytes)
    fail(ErrorCode::invalidArgument,
         "the key file '{}' has {} bytes of key; a pre-shared key needs at least {} random ones",
         path, key.size(), kMinPskBytes);
  return key;
}

}  // namespace

std::vector<std::byte> freshPsk() {
  std::vector<std::byte> key(kFreshBytes);
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(key.data()), kFreshBytes) != 1)
    fail(ErrorCode::system, "OpenSSL has no random bytes to give");
  return key;
}

void writePskFile(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!fd && errno == EEXIST)
    fail(ErrorCode::invalidArgument,
         "'{}' exists; a key is never overwritten: remove it first, or give another name", path);
  if (!fd) failErrno("cannot create the key file '{}'", path);
  Secret<std::array<char, 2 * kFreshBytes + 1>> text;
  std::vector<std::byte> key = freshPsk();
  for (std::size_t i = 0; i < kFreshBytes; ++i) {
    (*text)[2 * i] = kDigits[static_cast<unsigned>(key[i]) >> 4];
    (*text)[2 * i + 1] = kDigits[static_cast<unsigned>(key[i]) & 15];
  }
  wipe(key.data(), key.size());
  text->back() = '\n';
  writeAll(fd, text->data(), text->size(), path);
}

std::vector<std::byte> readPskFile(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) failErrno("cannot open the key file '{}'", path);
  checkOwnerOnly(fd, path);
  Secret<std::array<char, kMaxText>> text;
  const std::size_t size = readAll(fd, text->data(), text->size(), path);
  return decode({text->data(), size}, path);
}

}  // namespace lockstep::cc
