#include "bench/output.hpp"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/fail.hpp"
#include "base/fd.hpp"
#include "base/printable.hpp"
#include "bench/sizes.hpp"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

/// As many links as the kernel follows in one path (path_resolution(7)).
constexpr int kMostLinks = 40;

/// False with errno when not all of it could be written.
bool writeAll(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {  // a pipe that someone else has made non-blocking
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

/// The file that is written when `path` is: links are followed, also to what does not exist yet.
fs::path throughLinks(fs::path path) {
  std::error_code error;
  for (int i = 0; i < kMostLinks; ++i) {
    if (!fs::is_symlink(path, error)) return path;
    path = path.parent_path() / fs::read_symlink(path, error);
  }
  errno = ELOOP;
  failErrno("cannot write {}", path.string());
}

/// A file beside `path` that becomes it.
std::string openBeside(const fs::path& path, Fd& fd) {
  std::string name = path.string() + ".XXXXXX";
  fd = Fd(mkostemp(name.data(), O_CLOEXEC));
  if (!fd) failErrno("cannot write {}", path.string());
  return name;
}

/// The library's advice is for programs; what it calls a field of Options is an option here.
std::string inOurWords(std::string text) {
  for (const auto& [field, option] :
       {std::pair<std::string_view, std::string_view>("Options::timeout", "--timeout"),
        {"Options::cipher", "--cipher"},
        {"Options::psk", "--psk"}})
    for (auto at = text.find(field); at != std::string::npos; at = text.find(field, at))
      text.replace(at, field.size(), option);
  return text;
}

}  // namespace

void occupyStandardStreams() noexcept {
  int fd = STDIN_FILENO;
  while (fd >= STDIN_FILENO && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDONLY);
  if (fd >= 0) ::close(fd);
}

void print(std::string_view text) {
  if (!writeAll(STDOUT_FILENO, text)) failErrno("cannot write the results to standard output");
}

void hint(std::string_view text) noexcept {
  writeAll(STDERR_FILENO, text);
}

void complain(std::string_view text) noexcept {
  try {
    hint(fmt::format("ccbench: {}\n", printableLines(inOurWords(std::string(text)))));
  } catch (const std::exception&) {  // no memory for it
    hint("ccbench: out of memory\n");
  }
}

void requireWritable(const std::string& path, const char* option) try {
  const fs::path target = throughLinks(path);
  std::error_code error;
  const fs::file_status status = fs::status(target, error);
  if (fs::is_directory(status))
    throw UsageError(fmt::format("{} {}: is a folder; name a file", option, path));
  // The file is replaced by renaming, which would replace a device or a pipe too.
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw UsageError(fmt::format("{} {}: is no ordinary file; name one", option, path));
  Fd fd;
  ::unlink(openBeside(target, fd).c_str());
} catch (const Error& error) {
  throw UsageError(fmt::format("{}: {}; name a file in a folder that exists and may be written",
                               option, error.what()));
}

void writeFile(const std::string& path, const std::string& content) {
  const fs::path target = throughLinks(path);
  Fd fd;
  const std::string temporary = openBeside(target, fd);
  ::fchmod(fd.get(), 0644);
  if (writeAll(fd.get(), content) && ::rename(temporary.c_str(), target.c_str()) == 0) return;
  const int error = errno;
  ::unlink(temporary.c_str());
  errno = error;
  failErrno("cannot write {}", path);
}

}  // namespace lockstep::bench
