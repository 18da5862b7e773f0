// Between records no key lies in memory that a core dump shows and a fork copies.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/secret.hpp"
#include "cc_mode/aead_fixture.hpp"

namespace lockstep::test {
namespace {

using Key = std::array<std::byte, cc::kKeyBytes>;

/// Memory that can be written, is in use and may be dumped, by /proc/self/smaps.
struct Region {
  unsigned long from = 0, to = 0, resident = 0;
  bool writable = false;
};

std::vector<Region> dumpedMemory() {
  std::vector<Region> regions;
  std::ifstream in("/proc/self/smaps");
  Region now;
  for (std::string line; std::getline(in, line);) {
    unsigned long from = 0, to = 0;
    char access[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &from, &to, access) == 3)
      now = {from, to, 0, access[0] == 'r' && access[1] == 'w'};
    else if (line.starts_with("Rss:"))
      now.resident = std::stoul(line.substr(4));
    else if (line.starts_with("VmFlags:") && now.writable && now.resident > 0 &&
             (line + " ").find(" dd ") == std::string::npos)
      regions.push_back(now);
  }
  return regions;
}

/// Half of an AES-256 key is a round key: the schedule begins with both halves.
bool isDumped(const std::byte* half) {
  constexpr std::size_t kHalf = cc::kKeyBytes / 2;
  constexpr std::size_t kChunk = std::size_t{1} << 20;
  const SecretPages copy(kChunk + kHalf);  // is not searched itself
  const Fd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  for (const Region& region : dumpedMemory())
    for (unsigned long at = region.from; at < region.to; at += kChunk) {
      const std::size_t wanted = std::min<std::size_t>(region.to - at, copy.size());
      const ssize_t n = ::pread(memory.get(), copy.data(), wanted, static_cast<off_t>(at));
      if (n > 0 && ::memmem(copy.data(), static_cast<std::size_t>(n), half, kHalf) != nullptr)
        return true;
    }
  return false;
}

TEST(AeadAtRest, LeavesNoKeyInOrdinaryMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's memory is too much to read";
#endif
  if (dumpedMemory().empty()) GTEST_SKIP() << "/proc/self/smaps does not list flags here";
  const Secret<Key> key;
  ASSERT_EQ(::getrandom(key->data(), key->size(), 0), static_cast<ssize_t>(key->size()));
  {
    const Bytes copy(key->begin(), key->end());
    EXPECT_TRUE(isDumped(key->data())) << "the search finds nothing";
    wipe(const_cast<std::byte*>(copy.data()), copy.size());
  }
  for (const auto& aead : allAeads()) {
    SCOPED_TRACE(aead->name());
    const auto expanded = aead->expand(*key);
    const Bytes aad(48), plain(1000, std::byte{3});
    Bytes got;
    const Sealed sealed = seal(*aead, *expanded, cc::nonceOf(1), aad, plain);
    ASSERT_TRUE(open(*aead, *expanded, cc::nonceOf(1), aad, sealed, got));
    ASSERT_FALSE(open(*aead, *expanded, cc::nonceOf(2), aad, sealed, got));
    EXPECT_FALSE(isDumped(key->data()));
    EXPECT_FALSE(isDumped(key->data() + cc::kKeyBytes / 2));
  }
}

}  // namespace
}  // namespace lockstep::test
