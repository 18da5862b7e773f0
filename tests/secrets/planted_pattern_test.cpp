// Whole communicators compute with nothing but one pattern: in sealed modes it is nowhere in what
// ranks share and send, in the clear it is. And with other inputs nothing differs but payloads.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "bootstrap/peers.hpp"
#include "secrets/sent_bytes.hpp"
#include "support/world.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::testing {
namespace {

constexpr std::int64_t kPattern = 0x5ec2e75ec2e7a11d;
constexpr int kWorld = 3;

/// At any address, in any company: most of it will do.
bool isPlanted(std::span<const std::byte> memory) {
  const std::array<std::int64_t, 1> pattern{kPattern};
  const auto* needle = reinterpret_cast<const std::byte*>(pattern.data());
  return std::search(memory.begin(), memory.end(), needle + 2, needle + sizeof pattern) !=
         memory.end();
}

/// What lies there now. Ranks may be writing flags: a race that ThreadSanitizer need not tell.
__attribute__((no_sanitize("thread"))) std::vector<std::byte> copyOf(
    std::span<const std::byte> memory) {
  std::vector<std::byte> copy(memory.size());
  const auto* from = reinterpret_cast<const volatile std::uint64_t*>(memory.data());
  auto* to = reinterpret_cast<std::uint64_t*>(copy.data());
  for (std::size_t i = 0; i < memory.size() / sizeof *to; ++i) to[i] = from[i];
  return copy;
}

/// What this process maps shared and writes to, by name of the file.
std::vector<std::span<std::byte>> shared(const std::string& file) {
  std::vector<std::span<std::byte>> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:" + file) == std::string::npos) continue;
    std::uintptr_t begin = 0, end = 0;
    char dash = 0;
    std::string access;
    std::istringstream(line) >> std::hex >> begin >> dash >> end >> access;
    if (access == "rw-s") found.emplace_back(reinterpret_cast<std::byte*>(begin), end - begin);
  }
  return found;
}

/// Every collective and sends in several sizes, with a maximum where something is reduced: of equal
/// inputs it is the input.
void useAll(Communicator& comm, std::int64_t value) {
  const auto world = static_cast<std::size_t>(comm.worldSize());
  for (const std::size_t count : {std::size_t{1}, std::size_t{40}, std::size_t{20000}}) {
    std::vector<std::int64_t> in(count * world, value), out(count * world);
    for (std::size_t c = 0; c < kCollectives; ++c)
      comm.run(static_cast<Collective>(c), in.data(), out.data(), count, DataType::i64,
               Reduction::max, 1);
    const int next = (comm.rank() + 1) % comm.worldSize();
    const int previous = (comm.rank() + comm.worldSize() - 1) % comm.worldSize();
    Group group;
    group.send(comm, in.data(), count, DataType::i64, next)
        .receive(comm, out.data(), count, DataType::i64, previous);
    group.start().wait();
    require(std::count(out.begin(), out.begin() + std::ptrdiff_t(count), value) ==
                std::ptrdiff_t(count),
            "something else arrived");
  }
  const Buffer buffer = comm.alloc(10000 * sizeof value);
  auto* data = static_cast<std::int64_t*>(buffer.data());
  std::fill_n(data, 10000, value);
  comm.allReduce(data, data, 10000, DataType::i64, Reduction::max);
}

struct Hits {
  int inMemory = 0, sent = 0;
};

Hits hitsOf(Mode mode, Kind kind) {
  const SentBytes sent;
  Hits hits;
  std::atomic<int> inMemory{0};
  const auto outcomes = runRanks(kind, kWorld, optionsOf(mode), [&](Communicator& comm, int rank) {
    useAll(comm, kPattern);
    Communicator twin = comm.duplicate();
    useAll(twin, kPattern);
    comm.barrier();  // all are done with all, and all of it is still there
    if (rank == 0)
      for (const auto& memory : shared("lockstep")) inMemory += isPlanted(copyOf(memory)) ? 1 : 0;
    comm.barrier();
  });
  EXPECT_EQ(failures(outcomes), "");
  hits.inMemory = inMemory;
  const auto all = sent.all();
  if (kind == Kind::sockets) {
    EXPECT_GT(all.size(), 1000U) << "nothing was recorded";
  }
  hits.sent = isPlanted(all) ? 1 : 0;
  return hits;
}

TEST(PlantedPattern, IsNowhereInSealedModes) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast})
    for (const Kind kind : {Kind::threads, Kind::sockets}) {
      SCOPED_TRACE(fmt::format("{}, {}", name(mode), name(kind)));
      const Hits hits = hitsOf(mode, kind);
      EXPECT_EQ(hits.inMemory, 0);
      EXPECT_EQ(hits.sent, 0);
    }
}

TEST(PlantedPattern, IsInWhatRanksShareInTheClear) {
  for (const Kind kind : {Kind::threads, Kind::sockets}) {
    SCOPED_TRACE(name(kind));
    const Hits hits = hitsOf(Mode::p2p, kind);
    EXPECT_GE(hits.inMemory, kWorld);
    EXPECT_EQ(hits.sent, 0) << "payloads do not go by sockets";
  }
}

/// What goes by sockets is listened to.
TEST(PlantedPattern, IsSeenInASocket) {
  const SentBytes sent;
  const std::string point = openMeetingPoint("");
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank)
    threads.emplace_back([&, rank] {
      const Deadline deadline = Deadline::in(std::chrono::seconds(20));
      const auto peers = joinProcesses(point, rank, 2, deadline);
      const std::int64_t pattern = kPattern;
      peers->allGather(std::as_bytes(std::span(&pattern, 1)), deadline);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(isPlanted(sent.all()));
}

// ---- other inputs ----

/// A segment without what messages carry: of lines that is all but the first one's stamp, and
/// flags.
std::string withoutPayload(std::span<const std::byte> segment) {
  std::string image(reinterpret_cast<const char*>(segment.data()), segment.size());
  const shm::Layout layout(kWorld);
  for (std::size_t channel = 0; channel <= kWorld; ++channel) {
    auto& area = *reinterpret_cast<shm::OutArea*>(image.data() + layout.outArea(channel));
    std::memset(&area.payload, 0, sizeof area.payload);
    const auto clear = [](auto& slots) {
      for (auto& lines : slots)
        for (shm::Line& line : lines)
          std::memset(line.data.data(), 0,
                      &line == &lines[0] ? shm::kFirstLineBytes : shm::kLineBytes);
    };
    clear(area.lines);
    clear(area.briefLines);
  }
  return image;
}

/// Of a world in which ranks have done everything with `value`: its segments, in no order.
std::multiset<std::string> imagesAfter(Mode mode, std::int64_t value, int barriers = 0) {
  std::multiset<std::string> images;
  auto ranks = Communicator::createInProcess(kWorld, optionsOf(mode));
  const auto outcomes = playRanks(Kind::threads, kWorld, [&](int rank) {
    Communicator& mine = ranks[static_cast<std::size_t>(rank)];
    useAll(mine, value);
    for (int i = 0; i < barriers; ++i) mine.barrier();
  });
  EXPECT_EQ(failures(outcomes), "");
  for (const auto& segment : shared("lockstep (")) images.insert(withoutPayload(segment));
  EXPECT_EQ(images.size(), std::size_t{kWorld});
  return images;
}

TEST(PlantedPattern, ControlWordsDoNotDependOnInputs) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    SCOPED_TRACE(name(mode));
    const auto images = imagesAfter(mode, kPattern);
    EXPECT_TRUE(images == imagesAfter(mode, -17));
    EXPECT_FALSE(images == imagesAfter(mode, kPattern, 1)) << "a call more is not seen";
  }
}

}  // namespace
}  // namespace lockstep::testing
