// After a sealed communicator is gone, no key of it is left in its process's memory: neither keys,
// nor the round keys and powers of H that a cipher makes of them, nor the pre-shared key.
//
// The process that is looked at tells its keys as its cipher gets them, through a pipe and without
// a copy; its parent looks for them, so that what is looked for does not lie in the memory looked
// at.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#if __has_include(<intel-ipsec-mb.h>)
#include <intel-ipsec-mb.h>
#endif

#include "base/fd.hpp"
#include "base/secret.hpp"
#include "secrets/watched_aead.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

// ---- what the child says ----

enum class Says : char { key = 'k', psk = 'p', ready = 'r', gone = 'g' };

/// A long one: memory of that size is hardly used again, so what is left in it stays.
constexpr std::size_t kPskBytes = 1000;

/// One message; of keys only what is theirs: no copy is made on the way to the kernel.
void say(int fd, Says what, std::span<const std::byte> secret = {}) {
  const iovec parts[] = {{&what, 1}, {const_cast<std::byte*>(secret.data()), secret.size()}};
  const auto bytes = static_cast<ssize_t>(1 + secret.size());
  if (::writev(fd, parts, 2) != bytes) ::_exit(3);  // less than PIPE_BUF: one piece
}

/// Tells its keys, and is otherwise another.
class TellingAead : public cc::Aead {
 public:
  TellingAead(std::shared_ptr<const cc::Aead> inner, int fd) : inner_(std::move(inner)), fd_(fd) {}
  std::string_view name() const override { return inner_->name(); }
  std::unique_ptr<cc::ExpandedKey> expand(
      std::span<const std::byte, cc::kKeyBytes> key) const override {
    say(fd_, Says::key, key);
    return inner_->expand(key);
  }
  void seal(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
            cc::ConstPrivateBytes plain, cc::PrivateBytes cipher, cc::Tag& tag) const override {
    inner_->seal(key, nonce, aad, plain, cipher, tag);
  }
  [[nodiscard]] bool open(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
                          cc::ConstPrivateBytes cipher, const cc::Tag& tag,
                          cc::PrivateBytes plain) const override {
    return inner_->open(key, nonce, aad, cipher, tag, plain);
  }

 private:
  std::shared_ptr<const cc::Aead> inner_;
  int fd_;
};

/// Uses most of a communicator and of a child of it.
void useAll(Communicator& comm) {
  std::vector<std::int32_t> data(100000, 1);
  for (const std::size_t count : {std::size_t{1}, std::size_t{1000}, data.size()})
    comm.allReduce(data.data(), data.data(), count, DataType::i32);
  const int next = (comm.rank() + 1) % comm.worldSize();
  const int previous = (comm.rank() + comm.worldSize() - 1) % comm.worldSize();
  std::vector<std::int32_t> other(1000);
  Group group;
  group.send(comm, data.data(), other.size(), DataType::i32, next)
      .receive(comm, other.data(), other.size(), DataType::i32, previous);
  group.start().wait();
}

void awaitOrder(int orders) {
  char order = 0;
  if (::read(orders, &order, 1) != 1) ::_exit(2);  // the parent is gone
}

/// Between "ready" and "gone" the communicators live.
void liveAndDie(Mode mode, const std::string& cipher, int tells, int orders) {
  const WatchedAead watched([tells](std::shared_ptr<const cc::Aead> inner) {
    return std::make_shared<TellingAead>(std::move(inner), tells);
  });
  {
    Options options = optionsOf(mode);
    options.cipher = cipher;
    options.psk.resize(kPskBytes);
    if (::getrandom(options.psk.data(), kPskBytes, 0) != ssize_t{kPskBytes}) ::_exit(4);
    say(tells, Says::psk, options.psk);
    auto ranks = Communicator::createInProcess(3, options);
    wipe(options.psk.data(), options.psk.size());  // the caller's own
    playRanks(Kind::threads, 3, [&](int rank) {
      Communicator& comm = ranks[static_cast<std::size_t>(rank)];
      useAll(comm);
      Communicator twin = comm.duplicate();
      useAll(twin);
      auto half = comm.split(rank == 1 ? kNoColor : 0, 0);
      if (half) useAll(*half);
    });
    say(tells, Says::ready);
    awaitOrder(orders);
  }
  say(tells, Says::gone);
  awaitOrder(orders);
}

// ---- what the parent looks for ----

struct Pattern {
  std::string bytes, name;
};

/// Zeros and the like are everywhere.
bool isDistinct(std::string_view bytes) {
  return std::set<char>(bytes.begin(), bytes.end()).size() > 6;
}

/// What intel-ipsec-mb makes of a key, in pieces of a block: round keys, powers of H. OpenSSL's
/// round keys are the same bytes.
std::vector<std::string> expansionOf([[maybe_unused]] const std::string& key) {
  std::vector<std::string> blocks;
#if __has_include(<intel-ipsec-mb.h>)
  static IMB_MGR* const manager = [] {
    IMB_MGR* m = alloc_mb_mgr(0);
    init_mb_mgr_auto(m, nullptr);
    return m;
  }();
  alignas(64) gcm_key_data data{};
  IMB_AES256_GCM_PRE(manager, key.data(), &data);
  const auto* bytes = reinterpret_cast<const char*>(&data);
  for (std::size_t at = 0; at + 16 <= sizeof data; at += 16)
    if (std::string block(bytes + at, 16); isDistinct(block)) blocks.push_back(std::move(block));
#endif
  return blocks;
}

/// Finds any of many patterns, at any address.
class Search {
 public:
  void add(const Pattern& pattern) {
    const std::uint64_t word = wordAt(pattern.bytes.data());
    patterns_[word].push_back(pattern);
    hashes_[hashOf(word)] = true;
  }

  /// Names of what is in `memory`, with `where`.
  void in(const std::string& memory, const std::string& where, std::set<std::string>& found) const {
    for (std::size_t at = 0; at + 16 <= memory.size(); ++at) {
      const std::uint64_t word = wordAt(memory.data() + at);
      if (!hashes_[hashOf(word)]) continue;
      const auto alike = patterns_.find(word);
      if (alike == patterns_.end()) continue;
      for (const Pattern& p : alike->second)
        if (memory.compare(at, p.bytes.size(), p.bytes) == 0) found.insert(p.name + " in " + where);
    }
  }

 private:
  static std::uint64_t wordAt(const char* bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return word;
  }
  static std::size_t hashOf(std::uint64_t word) {
    return static_cast<std::size_t>(word * 0x9e3779b97f4a7c15U >> 44);
  }
  std::unordered_map<std::uint64_t, std::vector<Pattern>> patterns_;
  std::vector<bool> hashes_ = std::vector<bool>(std::size_t{1} << 20);
};

/// Everything readable that a process has, but for what is too large to have been touched (the
/// shadow of a sanitizer).
std::set<std::string> searchProcess(pid_t pid, const Search& search) {
  constexpr std::size_t kPiece = std::size_t{4} << 20, kOverlap = 64;
  constexpr std::uint64_t kMost = std::uint64_t{4} << 30;
  const std::string process = "/proc/" + std::to_string(pid);
  const Fd memory(::open((process + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  if (!memory) return {"the memory of the process cannot be read"};
  std::set<std::string> found;
  std::ifstream maps(process + "/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t begin = 0, end = 0;
    char dash = 0, readable = 0;
    std::istringstream(line) >> std::hex >> begin >> dash >> end >> readable;
    if (readable != 'r' || end - begin > kMost || line.find("[v") != std::string::npos) continue;
    std::string piece;
    for (std::uint64_t at = begin; at < end; at += kPiece) {
      piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kPiece + kOverlap, end - at)));
      const ssize_t n = ::pread(memory.get(), piece.data(), piece.size(), static_cast<off_t>(at));
      if (n <= 0) break;
      piece.resize(static_cast<std::size_t>(n));
      search.in(piece, line, found);
    }
  }
  return found;
}

/// Reads what the child says until `until`; false if it ends before.
bool listen(int fd, Says until, Search& search, int& keys) {
  for (Says what{};;) {
    if (::read(fd, &what, 1) != 1) return false;
    if (what == until) return true;
    std::string secret(what == Says::psk ? kPskBytes : cc::kKeyBytes, '\0');
    if (::read(fd, secret.data(), secret.size()) != static_cast<ssize_t>(secret.size()))
      return false;
    const std::string name =
        what == Says::psk ? "the pre-shared key" : fmt::format("key {}", ++keys);
    // By blocks: freed memory has lost its first bytes to the allocator.
    for (std::size_t at = 0; at + 16 <= secret.size(); at += 16)
      search.add({secret.substr(at, 16), name});
    if (what == Says::psk) continue;
    int block = 0;
    for (const std::string& bytes : expansionOf(secret))
      search.add({bytes, fmt::format("{}, block {} of what is made of it", name, ++block)});
  }
}

void expectNothingLeft(Mode mode, const std::string& cipher) {
  SCOPED_TRACE(fmt::format("{}, {}", name(mode), cipher));
  int tells[2], orders[2];
  ASSERT_EQ(::pipe2(tells, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(orders, O_CLOEXEC), 0);
  const Fd hears(tells[0]), commands(orders[1]);
  Fd speaks(tells[1]), obeys(orders[0]);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(tells[0]);  // or it would not see its parent go
    ::close(orders[1]);
    liveAndDie(mode, cipher, tells[1], orders[0]);
    ::_exit(0);
  }
  speaks.reset();
  obeys.reset();
  Search search;
  int keys = 0;
  EXPECT_TRUE(listen(hears.get(), Says::ready, search, keys));
  // 3 ranks with keys to and from two others and 3 of groups, the same of a duplicate, 4 of a pair;
  // and keys that wrap, which are gone by now.
  EXPECT_GE(keys, 3 * 7 + 3 * 7 + 2 * 4);
  const auto before = searchProcess(child, search);
  const auto count = [&](const std::string& text) {
    return std::ranges::count_if(
        before, [&](const std::string& place) { return place.find(text) != std::string::npos; });
  };
  EXPECT_GE(before.size(), 9U) << "a live communicator has keys: the search does not find them";
  EXPECT_EQ(count("the pre-shared key"), 0) << "it has done its work";
#if __has_include(<intel-ipsec-mb.h>)
  if (cipher == "ipsec-mb") {
    EXPECT_GE(count("made of it"), 9 * 15) << "a live key has round keys and powers of H";
  }
#endif
  EXPECT_EQ(::write(commands.get(), "x", 1), 1);
  EXPECT_TRUE(listen(hears.get(), Says::gone, search, keys));
  EXPECT_THAT(searchProcess(child, search), ::testing::IsEmpty());
  EXPECT_EQ(::write(commands.get(), "x", 1), 1);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

/// The dynamic linker saves all vector registers on the stack when it binds a function at its first
/// call, and with them what was copied last. Libraries of others do as they were built; so this
/// test runs with everything bound at the start, in a process of its own.
bool isBoundAtStart() {
  return std::getenv("LD_BIND_NOW") != nullptr;
}
int statusOfBoundRun() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("LD_BIND_NOW", "1", 1);
    ::execl("/proc/self/exe", "test_secrets", "--gtest_filter=LeftoverKeys.*", nullptr);
    ::_exit(127);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(LeftoverKeys, NothingIsLeftOfADestroyedCommunicator) {
  if (!isBoundAtStart()) {
    EXPECT_EQ(statusOfBoundRun(), 0);
    return;
  }
  int searched = 0;
  for (const Mode mode : {Mode::cc, Mode::ccMulticast})
    for (const std::string cipher : {"ipsec-mb", "openssl"}) {
      try {
        static_cast<void>(cc::createAead(cipher));
      } catch (const Error&) {
        continue;  // not here
      }
      expectNothingLeft(mode, cipher);
      ++searched;
    }
  EXPECT_GE(searched, 2) << "OpenSSL is everywhere";
}

}  // namespace
}  // namespace lockstep::testing
