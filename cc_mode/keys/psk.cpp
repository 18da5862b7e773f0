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

/// Waits until what was written is on the disk: the file, then its name in its folder. (A file
/// system that cannot be told to, EINVAL, decides itself.)
void writeOut(const Fd& fd, const std::string& path) {
  const auto flush = [](const Fd& what) {
    return what && (::fsync(what.get()) == 0 || errno == EINVAL);
  };
  const std::size_t slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (flush(fd) && flush(Fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)))) return;
  const int error = errno;
  ::unlink(path.c_str());
  errno = error;
  failErrno("cannot write the key file '{}' out to its disk", path);
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

/// A key that other users can read is no secret, and one they can write, or have written, is no key
/// of ours. Looks at the file that was opened, so that nobody can put another in its place.
void checkOwnerOnly(const Fd& fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) failErrno("cannot look at the key file '{}'", path);
  if (!S_ISREG(status.st_mode))
    fail(ErrorCode::invalidArgument, "the key file '{}' is not an ordinary file", path);
  if (status.st_uid != ::geteuid() && status.st_uid != 0)
    fail(ErrorCode::invalidArgument,
         "the key file '{}' belongs to user {}, who may know or change the key: use a file of your "
         "own, or of root",
         path, status.st_uid);
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
  // Nothing is decoded before all is known to be good: there is no half a key to wipe.
  for (std::size_t i = 0; i < text.size(); ++i)
    if (!digitOf(text[i]))
      fail(ErrorCode::invalidArgument,
           "the key file '{}' has something else than a hexadecimal digit at character {}", path,
           i + 1);
  std::vector<std::byte> key(text.size() / 2);
  if (key.size() < kMinPskBytes)
    fail(ErrorCode::invalidArgument,
         "the key file '{}' has {} bytes of key; a pre-shared key needs at least {} random ones",
         path, key.size(), kMinPskBytes);
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<std::byte>(*digitOf(text[2 * i]) << 4 | *digitOf(text[2 * i + 1]));
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
  // Drawn first: what fails leaves no empty file behind.
  Secret<std::array<char, 2 * kFreshBytes + 1>> text;
  std::vector<std::byte> key = freshPsk();
  const WipeAtEnd wiper(key);
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!fd && errno == EEXIST)
    fail(ErrorCode::invalidArgument,
         "'{}' exists; a key is never overwritten: remove it first, or give another name", path);
  if (!fd) failErrno("cannot create the key file '{}'", path);
  for (std::size_t i = 0; i < kFreshBytes; ++i) {
    (*text)[2 * i] = kDigits[static_cast<unsigned>(key[i]) >> 4];
    (*text)[2 * i + 1] = kDigits[static_cast<unsigned>(key[i]) & 15];
  }
  text->back() = '\n';
  writeAll(fd, text->data(), text->size(), path);
  writeOut(fd, path);
}

std::vector<std::byte> readPskFile(const std::string& path) {
  // Neither waits for the other end of a pipe, nor takes a terminal for its own.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd && errno == ELOOP)
    fail(ErrorCode::invalidArgument,
         "the key file '{}' is a symbolic link, and who may change it could choose the key: name "
         "the file itself",
         path);
  if (!fd) failErrno("cannot open the key file '{}'", path);
  checkOwnerOnly(fd, path);
  Secret<std::array<char, kMaxText>> text;
  const std::size_t size = readAll(fd, text->data(), text->size(), path);
  return decode({text->data(), size}, path);
}

}  // namespace lockstep::cc
