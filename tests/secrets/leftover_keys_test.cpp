// After a sealed communicator is gone, no key of it is left in its process's memory: neither keys,
// nor the round keys and powers of H that a cipher makes of them, nor the pre-shared key. Of a
// meeting point that is gone, nothing of its key.
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
#include "bootstrap/join_key.hpp"
#include "bootstrap/meeting_id.hpp"
#include "bootstrap/peers.hpp"
#include "bootstrap/relay.hpp"
#include "secrets/watched_aead.hpp"
#include "support/forwarding_aead.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

// ---- what the child says ----

enum class Says : char { key = 'k', pad = 'm', psk = 'p', token = 't', ready = 'r', gone = 'g' };

/// A long one: memory of that size is hardly used again, so what is left in it stays.
constexpr std::size_t kPskBytes = 1000;

/// One message; of keys only what is theirs: no copy is made on the way to the kernel.
void say(int fd, Says what, std::span<const std::byte> secret = {}) {
  const iovec parts[] = {{&what, 1}, {const_cast<std::byte*>(secret.data()), secret.size()}};
  const auto bytes = static_cast<ssize_t>(1 + secret.size());
  if (::writev(fd, parts, 2) != bytes) ::_exit(3);  // less than PIPE_BUF: one piece
}

/// Of each pad (of masked sums, made under no name): its first bytes, and its last.
constexpr std::size_t kPadBytes = 16;

/// Tells its keys and pads, and is otherwise another.
class TellingAead : public ForwardingAead {
 public:
  TellingAead(std::shared_ptr<const cc::Aead> inner, int fd)
      : ForwardingAead(std::move(inner)), fd_(fd) {}
  std::unique_ptr<cc::ExpandedKey> expand(
      std::span<const std::byte, cc::kKeyBytes> key) const override {
    say(fd_, Says::key, key);
    return ForwardingAead::expand(key);
  }
  void seal(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
            cc::ConstPrivateBytes plain, cc::PrivateBytes cipher, cc::Tag& tag) const override {
    ForwardingAead::seal(key, nonce, aad, plain, cipher, tag);
    if (aad.size() != 0) return;
    const std::span pad(cipher.data(), cipher.size());
    say(fd_, Says::pad, pad.first(kPadBytes));
    say(fd_, Says::pad, pad.last(kPadBytes));
  }

 private:
  int fd_;
};

/// Uses most of a communicator and of a child of it, for longer than its first keys live.
void useAll(Communicator& comm) {
  std::vector<std::int32_t> data(1'000'000, 1);
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

std::vector<std::byte> tellFreshPsk(int tells) {
  std::vector<std::byte> psk(kPskBytes);
  if (::getrandom(psk.data(), kPskBytes, 0) != ssize_t{kPskBytes}) ::_exit(4);
  say(tells, Says::psk, psk);
  return psk;
}

/// Between "ready" and "gone" the communicators live.
void liveAndDie(Mode mode, const std::string& cipher, int tells, int orders) {
  const WatchedAead watched([tells](std::shared_ptr<const cc::Aead> inner) {
    return std::make_shared<TellingAead>(std::move(inner), tells);
  });
  {
    Options options = optionsOf(mode);
    options.cipher = cipher;
    options.rekeyBytes = 1 << 20;
    options.psk = tellFreshPsk(tells);
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

/// Between "ready" and "gone" a keyed meeting point lives, at which ranks have met.
void serveAndDie(int tells, int orders) {
  Fd listener = listenTcp("127.0.0.1");
  const MeetingId id{SocketAddress::of(listener), randomToken(), true};
  std::vector<std::byte> psk = tellFreshPsk(tells);
  say(tells, Says::token, id.token);
  {
    Relay relay(std::move(listener), id.token,
                std::optional<JoinKey>(std::in_place, psk, id.token));
    std::thread server([&] { relay.run(); });
    const auto deadline = Deadline::in(std::chrono::seconds(60));
    playRanks(Kind::threads, 3, [&](int rank) {
      joinProcesses(id.text(), rank, 3, deadline, psk)->allGather({}, deadline);
    });
    wipe(psk.data(), psk.size());  // the caller's own
    relay.stop();
    server.join();  // so that nothing changes while it is looked at
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

/// By blocks: freed memory has lost its first bytes to the allocator.
void addBlocks(Search& search, const std::string& secret, const std::string& name) {
  for (std::size_t at = 0; at + 16 <= secret.size(); at += 16)
    search.add({secret.substr(at, 16), name});
}

/// The key of the meeting point with this token, and HMAC's two blocks of it.
void addJoinKey(Search& search, const std::string& psk, const std::string& token) {
  Token salt{};
  std::memcpy(salt.data(), token.data(), salt.size());
  Hash key{};
  deriveJoinKey(std::as_bytes(std::span(psk)), salt, key);
  for (const unsigned pad : {0U, 0x36U, 0x5cU}) {
    std::string padded;
    for (const std::byte b : key) padded += static_cast<char>(static_cast<unsigned>(b) ^ pad);
    addBlocks(search, padded, pad == 0 ? "the join key" : "the join key, as HMAC has it");
  }
}

std::size_t lengthOf(Says what) {
  if (what == Says::psk) return kPskBytes;
  if (what == Says::pad) return kPadBytes;
  return what == Says::token ? sizeof(Token) : cc::kKeyBytes;
}

/// Reads what the child says until `until`; false if it ends before.
bool listen(int fd, Says until, Search& search, int& keys) {
  std::string psk;
  for (Says what{};;) {
    if (::read(fd, &what, 1) != 1) return false;
    if (what == until) return true;
    std::string said(lengthOf(what), '\0');
    if (::read(fd, said.data(), said.size()) != static_cast<ssize_t>(said.size())) return false;
    if (what == Says::token) {
      addJoinKey(search, psk, said);
    } else if (what == Says::pad) {
      search.add({said, "a pad or multiplier"});
    } else if (what == Says::psk) {
      addBlocks(search, psk = said, "the pre-shared key");
    } else {
      const std::string name = fmt::format("key {}", ++keys);
      addBlocks(search, said, name);
      int block = 0;
      for (const std::string& bytes : expansionOf(said))
        search.add({bytes, fmt::format("{}, block {} of what is made of it", name, ++block)});
    }
  }
}

/// What was found of a child's secrets between "ready" and "gone".
struct Findings {
  int keys = 0;
  std::set<std::string> places;

  std::ptrdiff_t count(const std::string& text) const {
    return std::ranges::count_if(
        places, [&](const std::string& place) { return place.find(text) != std::string::npos; });
  }
};

/// Forks a child that does `live`, and expects that nothing is left after "gone".
void searchChild(const std::function<void(int tells, int orders)>& live, Findings& findings) {
  int tells[2], orders[2];
  ASSERT_EQ(::pipe2(tells, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(orders, O_CLOEXEC), 0);
  const Fd hears(tells[0]), commands(orders[1]);
  Fd speaks(tells[1]), obeys(orders[0]);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(tells[0]);  // or it would not see its parent go
    ::close(orders[1]);
    live(tells[1], orders[0]);
    ::_exit(0);
  }
  speaks.reset();
  obeys.reset();
  Search search;
  EXPECT_TRUE(listen(hears.get(), Says::ready, search, findings.keys));
  findings.places = searchProcess(child, search);
  EXPECT_EQ(::write(commands.get(), "x", 1), 1);
  EXPECT_TRUE(listen(hears.get(), Says::gone, search, findings.keys));
  EXPECT_THAT(searchProcess(child, search), ::testing::IsEmpty());
  EXPECT_EQ(::write(commands.get(), "x", 1), 1);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

void expectNothingLeft(Mode mode, const std::string& cipher) {
  SCOPED_TRACE(fmt::format("{}, {}", name(mode), cipher));
  Findings findings;
  searchChild([&](int tells, int orders) { liveAndDie(mode, cipher, tells, orders); }, findings);
  // 3 ranks with keys to and from two others and 3 of groups, the same of a duplicate, 4 of a pair;
  // and keys that wrap, which are gone by now.
  EXPECT_GE(findings.keys, 3 * 7 + 3 * 7 + 2 * 4);
  EXPECT_GE(findings.places.size(), 9U)
      << "a live communicator has keys: the search does not find them";
  EXPECT_EQ(findings.count("the pre-shared key"), 0) << "it has done its work";
  // A rank holds 7 keys of records and 4 of control messages, of one epoch each (keys before are
  // gone); and 4 of masked sums.
  const bool masks = mode == Mode::ccMasked;
  EXPECT_GT(findings.keys, 130) << "no key was replaced";
  std::set<std::string> live;
  for (const std::string& place : findings.places)
    if (place.starts_with("key ")) live.insert(place.substr(0, place.find_first_of(", ", 4)));
  EXPECT_LE(live.size(), 3U * (7U + 4U + (masks ? 4U : 0U)));
  EXPECT_EQ(findings.count("a pad") != 0, masks) << "a live rank keeps what it has made last";
#if __has_include(<intel-ipsec-mb.h>)
  if (cipher == "ipsec-mb") {
    EXPECT_GE(findings.count("made of it"), 9 * 15) << "a live key has round keys and powers of H";
  }
#endif
}

/// The dynamic linker saves all vector registers on the stack when it binds a function at its first
/// call, and with them what was copied last. Libraries of others do as they were built; so this
/// test runs with everything bound at the start, in a process of its own.
bool isBoundAtStart() {
  return std::getenv("LD_BIND_NOW") != nullptr;
}
int statusOfBoundRun() {
  const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string filter =
      fmt::format("--gtest_filter={}.{}", test->test_suite_name(), test->name());
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("LD_BIND_NOW", "1", 1);
    ::execl("/proc/self/exe", "test_secrets", filter.c_str(), nullptr);
    ::_exit(127);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(LeftoverKeys, NothingIsLeftOfADestroyedCommunicator) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's memory is too much to read";
#endif
  if (!isBoundAtStart()) {
    EXPECT_EQ(statusOfBoundRun(), 0);
    return;
  }
  int searched = 0;
  for (const Mode mode : {Mode::cc, Mode::ccMulticast, Mode::ccMasked})
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

TEST(LeftoverKeys, NothingIsLeftOfAMeetingPoint) {
  if (!isBoundAtStart()) {
    EXPECT_EQ(statusOfBoundRun(), 0);
    return;
  }
  Findings findings;
  searchChild(serveAndDie, findings);
  // Its own, in secret pages; what the ranks and HMAC made for a moment is gone.
  EXPECT_EQ(findings.count("the join key in "), 1) << "the search does not find a live one";
  EXPECT_EQ(findings.places.size(), 1U) << ::testing::PrintToString(findings.places);
}

}  // namespace
}  // namespace lockstep::testing
