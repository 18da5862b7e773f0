#include "executor/cuda/cache.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.hpp"
#include "executor/cuda/cache_file.hpp"

namespace lockstep::cuda {

namespace {

constexpr std::string_view kKept = ".kernel", kNew = ".new";
/// More is no kernel.
constexpr std::int64_t kMostFileBytes = std::int64_t{64} << 20;
/// Who writes a file takes no longer; older ones are of processes that died.
constexpr std::time_t kWritingSeconds = 3600;

std::string fileName(const cc::Digest& key) {
  std::string name;
  for (const std::byte byte : key) name += fmt::format("{:02x}", std::to_integer<int>(byte));
  return name.append(kKept);
}

/// One that no other process uses, whatever its number and the host it runs on.
std::string newName() {
  std::array<unsigned char, 16> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return {};
  std::string name;
  for (const unsigned char byte : random) name += fmt::format("{:02x}", byte);
  return name.append(kNew);
}

/// This user's own, and closed to others.
bool isPrivate(const struct stat& status) {
  return status.st_uid == ::geteuid() && (status.st_mode & 077) == 0;
}

/// `path` and the folders above it, as far as they can be made. What is wrong shows when it is
/// opened.
void makeFolders(const std::string& path) {
  for (auto slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    ::mkdir(path.substr(0, slash).c_str(), 0700);
    if (slash == std::string::npos) return;
  }
}

/// The folder, or why it cannot be used.
std::pair<Fd, std::string> openFolder(const std::string& path) {
  makeFolders(path);
  Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return {Fd(), fmt::format("{} cannot be opened: {}", path, explain(errno))};
  struct stat status {};
  if (::fstat(folder.get(), &status) != 0)
    return {Fd(), fmt::format("{} cannot be looked at: {}", path, explain(errno))};
  if (status.st_uid != ::geteuid())
    return {Fd(),
            fmt::format("{} belongs to user {}, not to user {}", path, status.st_uid, ::geteuid())};
  if (!isPrivate(status))
    return {Fd(), fmt::format("{} is open to other users; 'chmod 700' it", path)};
  if (::faccessat(folder.get(), ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0)
    return {Fd(), fmt::format("{} cannot be written to: {}", path, explain(errno))};
  return {std::move(folder), std::string()};
}

bool readAll(int file, std::string& into) {
  for (std::size_t done = 0; done < into.size();) {
    const ssize_t bytes = ::read(file, into.data() + done, into.size() - done);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return false;
    done += static_cast<std::size_t>(bytes);
  }
  return true;
}

bool writeAll(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t bytes = ::write(file, text.data(), text.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(bytes));
  }
  return true;
}

/// A file of the cache, as trim() sees it.
struct Entry {
  std::string name;
  std::uint64_t bytes = 0;
  timespec used{};
};

bool isKernel(std::string_view name) {
  return name.size() == 2 * sizeof(cc::Digest) + kKept.size() && name.ends_with(kKept);
}

bool isLeftOver(std::string_view name, const struct stat& status) {
  return name.size() == 32 + kNew.size() && name.ends_with(kNew) &&
         status.st_mtim.tv_sec < std::time(nullptr) - kWritingSeconds;
}

/// The kernels in a folder. What dead writers left behind goes at once; other files are none of
/// ours.
std::vector<Entry> entries(int folder) {
  std::vector<Entry> found;
  Fd again(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!again) return found;
  const std::unique_ptr<DIR, int (*)(DIR*)> list(::fdopendir(again.get()), &::closedir);
  if (!list) return found;
  again.release();
  while (const dirent* file = ::readdir(list.get())) {
    struct stat status {};
    const std::string_view name = file->d_name;
    if (::fstatat(folder, file->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (isLeftOver(name, status)) ::unlinkat(folder, file->d_name, 0);
    if (isKernel(name))
      found.push_back(
          {std::string(name), static_cast<std::uint64_t>(status.st_size), status.st_mtim});
  }
  return found;
}

}  // namespace

Cache Cache::none(std::string why) {
  Cache cache;
  cache.whyNot_ = std::move(why);
  return cache;
}

Cache Cache::fromEnvironment() {
  if (const char* chosen = std::getenv("LOCKSTEP_CACHE_DIR"))
    return *chosen == 0 ? none("LOCKSTEP_CACHE_DIR is empty") : Cache(chosen);
  // Other than an absolute path is to be ignored (XDG Base Directory Specification).
  if (const char* caches = std::getenv("XDG_CACHE_HOME"); caches != nullptr && *caches == '/')
    return Cache(fmt::format("{}/lockstep", caches));
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return Cache(fmt::format("{}/.cache/lockstep", home));
  return none("none of LOCKSTEP_CACHE_DIR, XDG_CACHE_HOME and HOME is set");
}

Cache::Cache(const std::string& folder, std::uint64_t mostBytes) : mostBytes_(mostBytes) {
  std::tie(folder_, whyNot_) = openFolder(folder);
}

std::optional<Cubin> Cache::find(const cc::Digest& key) const {
  if (!folder_) return std::nullopt;
  // Without waiting for the other end of a pipe that has the name.
  const Fd file(::openat(folder_.get(), fileName(key).c_str(),
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      !isPrivate(status) || status.st_size > kMostFileBytes)
    return std::nullopt;
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  if (!readAll(file.get(), text)) return std::nullopt;
  std::optional<Cubin> cubin = decodeCubin(key, text);
  if (cubin) ::futimens(file.get(), nullptr);  // what is used stays
  return cubin;
}

void Cache::keep(const cc::Digest& key, const Cubin& cubin) const {
  const std::string beside = newName();
  if (!folder_ || beside.empty()) return;
  const Fd file(::openat(folder_.get(), beside.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return;
  if (!writeAll(file.get(), encodeCubin(key, cubin)) ||
      ::renameat(folder_.get(), beside.c_str(), folder_.get(), fileName(key).c_str()) != 0)
    ::unlinkat(folder_.get(), beside.c_str(), 0);
}

void Cache::trim() const {
  if (!folder_) return;
  std::vector<Entry> all = entries(folder_.get());
  std::ranges::sort(all, [](const Entry& a, const Entry& b) {
    return std::tie(a.used.tv_sec, a.used.tv_nsec, a.name) <
           std::tie(b.used.tv_sec, b.used.tv_nsec, b.name);
  });
  std::uint64_t bytes = 0;
  for (const Entry& entry : all) bytes += entry.bytes;
  for (const Entry& entry : all) {
    if (bytes <= mostBytes_) return;
    ::unlinkat(folder_.get(), entry.name.c_str(), 0);
    bytes -= entry.bytes;
  }
}

}  // namespace lockstep::cuda
