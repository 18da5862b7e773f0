// Device memory that all ranks map: on emulated GPUs, ranks as threads and as processes, and with
// each call of the driver failing on each rank.
#include "transport/cuda/segments.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/cuda/memory.hpp"
#include "bootstrap/forwarding_peers.hpp"
#include "cuda/device_worlds.hpp"
#include "transport/cuda/together.hpp"

namespace lockstep::cuda {
namespace {

using test::Environment;
using test::playDevices;
using test::Ranks;
using test::soon;
using testing::HasSubstr;

constexpr std::uint64_t kGranule = std::uint64_t{2} << 20;

/// This rank's GPU: ranks go round.
PrimaryContext contextOf(Peers& peers) {
  int count = 0;
  check(driver().deviceGetCount(&count), "count");
  return PrimaryContext::retain(peers.rank() % count);
}

void meet(Peers& peers) {
  peers.allGather({}, soon());
}

std::vector<std::byte> read(const PrimaryContext& context, DevicePtr at, std::size_t bytes) {
  std::vector<std::byte> data(bytes);
  copyToHost(context, data, at);
  return data;
}

bool isZero(const PrimaryContext& context, DevicePtr at, std::size_t bytes) {
  return read(context, at, bytes) == std::vector<std::byte>(bytes);
}

/// Every rank leaves a letter for every rank in that one's segment.
std::string passLetters(Peers& peers, const Segments& segments) {
  const int world = peers.worldSize();
  const auto letter = [](int from, int to) { return test::pattern(from, to, 700); };
  const auto box = [](int from) { return 4096u * static_cast<unsigned>(from) + 64; };
  for (int to = 0; to < world; ++to)
    copyToDevice(segments.context(), segments.base(to) + box(peers.rank()),
                 letter(peers.rank(), to));
  meet(peers);
  for (int reader = 0; reader < world; ++reader)
    for (int from = 0; from < world; ++from)
      if (read(segments.context(), segments.base(reader) + box(from), 700) != letter(from, reader))
        return fmt::format("the letter from {} to {} is wrong", from, reader);
  meet(peers);
  return {};
}

std::string makeAndUse(Peers& peers, std::uint64_t bytes) {
  const PrimaryContext context = contextOf(peers);
  const Segments segments(peers, context, bytes, soon());
  if (segments.bytes() < bytes || segments.bytes() % kGranule != 0) return "wrong size";
  if (segments.mine() != segments.base(peers.rank())) return "not mine";
  for (int r = 0; r < peers.worldSize(); ++r)
    if (!isZero(context, segments.base(r), segments.bytes())) return "not zeroed";
  meet(peers);
  return passLetters(peers, segments);
}

constexpr std::array kKinds{Ranks::threads, Ranks::processes};
const char* nameOf(Ranks ranks) {
  return ranks == Ranks::threads ? "threads" : "processes";
}

TEST(Segments, AllRanksReadAndWriteAll) {
  for (const Ranks ranks : kKinds)
    for (const int world : {1, 2, 3})
      for (const char* gpus : {"1", "2"}) {
        SCOPED_TRACE(fmt::format("{} {} on {} GPUs", world, nameOf(ranks), gpus));
        EXPECT_EQ(playDevices(ranks, world, {{"LOCKSTEP_FAKE_GPUS", gpus}},
                              [](Peers& peers) { return makeAndUse(peers, kGranule + 1); }),
                  "");
      }
}

TEST(Segments, SayHowTheyGotThere) {
  const auto says = [](const char* what) {
    return [what](Peers& peers) {
      const Segments segments(peers, contextOf(peers), 1, soon());
      return segments.describe() == what ? "" : segments.describe();
    };
  };
  EXPECT_EQ(playDevices(Ranks::threads, 2, {}, says("VMM, one mapping for all threads")), "");
  EXPECT_EQ(playDevices(Ranks::processes, 2, {}, says("VMM, POSIX fds")), "");
}

/// What a rank's attempt ended in.
struct End {
  std::optional<ErrorCode> code;
  bool unreachable = false;
  std::string text;
};

End attempt(Peers& peers, std::uint64_t bytes = kGranule) {
  try {
    const Segments segments(peers, contextOf(peers), bytes, soon());
    meet(peers);
    return {{}, false, "works: " + segments.describe()};
  } catch (const PeersUnreachable& e) {
    return {e.code(), true, e.what()};
  } catch (const Error& e) {
    return {e.code(), false, e.what()};
  }
}

/// Every rank's end, told to all: "" if all ended alike and `fits` agrees.
std::string compareEnds(Peers& peers, const End& mine,
                        const std::function<bool(const End&)>& fits) {
  const std::string said =
      fmt::format("{} {}", mine.code ? name(*mine.code) : "no error", mine.text);
  for (const auto& theirs : peers.allGather(std::as_bytes(std::span(said)), soon()))
    if (theirs.size() != said.size() || std::memcmp(theirs.data(), said.data(), said.size()) != 0)
      return "not all alike: " + said;
  return fits(mine) ? "" : said;
}

std::string endsLike(Ranks ranks, const Environment& environment,
                     const std::function<bool(const End&)>& fits) {
  return playDevices(ranks, 2, environment,
                     [&](Peers& peers) { return compareEnds(peers, attempt(peers), fits); });
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Segments, WithoutDescriptorsProcessesShareByIpc) {
  const Environment none{{"LOCKSTEP_FAKE_NO_FD_EXPORT", "1"}};
  EXPECT_EQ(endsLike(Ranks::processes, none,
                     [](const End& end) {
                       return !end.code && end.text.starts_with(
                                               "works: CUDA IPC, because VMM, POSIX fds: rank 0");
                     }),
            "");
  EXPECT_EQ(endsLike(Ranks::threads, none, [](const End& end) { return !end.code; }), "")
      << "threads need none";
  EXPECT_EQ(playDevices(Ranks::processes, 3, none,
                        [](Peers& peers) { return makeAndUse(peers, kGranule); }),
            "");
}

const Environment kFabricAlone{{"LOCKSTEP_FAKE_NO_FD_EXPORT", "1"}, {"LOCKSTEP_FAKE_FABRIC", "1"}};

TEST(Segments, WithoutDescriptorsProcessesShareByFabricHandles) {
  EXPECT_EQ(endsLike(Ranks::processes, kFabricAlone,
                     [](const End& end) {
                       return end.text.starts_with(
                           "works: VMM, fabric handles, because VMM, POSIX fds: rank 0");
                     }),
            "");
  EXPECT_EQ(playDevices(Ranks::processes, 3, kFabricAlone,
                        [](Peers& peers) { return makeAndUse(peers, kGranule + 1); }),
            "");
  EXPECT_EQ(endsLike(Ranks::processes, {{"LOCKSTEP_FAKE_FABRIC", "1"}},
                     [](const End& end) { return end.text == "works: VMM, POSIX fds"; }),
            "")
      << "descriptors come first";
}

/// Ends on all ranks with CUDA IPC, which says of fabric handles `why`.
std::string goesRound(const Environment& environment, std::string_view why) {
  return endsLike(Ranks::processes, environment, [&](const End& end) {
    return end.text.starts_with("works: CUDA IPC, because ") &&
           contains(end.text, fmt::format("; VMM, fabric handles: {}", why));
  });
}

TEST(Segments, FabricHandlesThatAreRefusedOnOneRankAreUsedOnNone) {
  EXPECT_EQ(goesRound({{"LOCKSTEP_FAKE_NO_FD_EXPORT", "1"}},
                      "rank 0: GPU 0 has no fabric handles, says its driver"),
            "");
  // The first allocation is that of descriptors.
  for (const int device : {0, 1})
    for (const char* call : {"cuMemCreate/{}=800@2", "cuMemExportToShareableHandle/{}=800",
                             "cuMemImportFromShareableHandle/{}=800"}) {
      Environment environment = kFabricAlone;
      const std::string failure = fmt::format(fmt::runtime(call), device);
      SCOPED_TRACE(failure);
      environment["LOCKSTEP_FAKE_FAIL"] = failure;
      EXPECT_EQ(goesRound(environment, fmt::format("rank {}: cannot ", device)), "");
    }
}

TEST(Segments, AnImexChannelThatIsMissingIsNamed) {
  EXPECT_EQ(playDevices(Ranks::processes, 2, kFabricAlone,
                        [](Peers& peers) {
                          if (peers.rank() == 1) ::setenv("LOCKSTEP_FAKE_NO_IMEX", "1", 1);
                          return compareEnds(peers, attempt(peers), [](const End& end) {
                            return end.text.starts_with("works: CUDA IPC") &&
                                   contains(end.text,
                                            "rank 1: cannot allocate 2097152 bytes to be "
                                            "shared by fabric handle on GPU 1: "
                                            "CUDA_ERROR_NOT_PERMITTED") &&
                                   contains(end.text, "IMEX channel");
                          });
                        }),
            "");
}

/// Tells others another fabric handle than its own.
class Forger final : public ForwardingPeers {
 public:
  Forger(Peers& real, const FabricHandle& forged) : ForwardingPeers(real), forged_(forged) {}

  std::vector<std::vector<std::byte>> allGather(std::span<const std::byte> mine,
                                                Deadline deadline) override {
    std::vector<std::byte> said(mine.begin(), mine.end());
    if (said.size() == 1 + sizeof forged_ && !done_) {  // after a word that all is well
      std::memcpy(said.data() + 1, &forged_, sizeof forged_);
      done_ = true;  // those of CUDA IPC are as long
    }
    return ForwardingPeers::allGather(said, deadline);
  }

 private:
  FabricHandle forged_;
  bool done_ = false;
};

TEST(Segments, AForgedFabricHandleIsRefusedByAll) {
  for (const char* kind : {"zeros", "junk", "memory that is too small"}) {
    SCOPED_TRACE(kind);
    EXPECT_EQ(
        playDevices(Ranks::processes, 2, kFabricAlone,
                    [&](Peers& peers) {
                      FabricHandle forged{};
                      if (kind[0] == 'j') std::memset(&forged, 0xa5, sizeof forged);
                      const auto small =
                          Allocation::create(contextOf(peers), kGranule, ShareableHandle::fabric);
                      if (kind[0] == 'm') forged = small->exportFabric();
                      Forger forger(peers, forged);
                      Peers& seen = peers.rank() == 1 ? forger : peers;
                      return compareEnds(peers, attempt(seen, 2 * kGranule), [](const End& end) {
                        return end.text.starts_with("works: CUDA IPC") &&
                               contains(end.text, "rank 0: cannot ");
                      });
                    }),
        "");
  }
}

TEST(Segments, WithoutPeerAccessAllRanksHearOfIt) {
  for (const Ranks ranks : kKinds) {
    SCOPED_TRACE(nameOf(ranks));
    EXPECT_EQ(endsLike(ranks, {{"LOCKSTEP_FAKE_NO_PEER", "1"}},
                       [](const End& end) {
                         return end.unreachable && end.code == ErrorCode::unsupported &&
                                contains(end.text, "rank 0: no peer access from GPU 0 to GPU 1");
                       }),
              "");
    EXPECT_EQ(endsLike(ranks, {{"LOCKSTEP_FAKE_NO_PEER", "1"}, {"LOCKSTEP_FAKE_GPUS", "1"}},
                       [](const End& end) { return !end.code; }),
              "")
        << "ranks that share a GPU need none";
  }
}

TEST(Segments, MustBeOfOneSize) {
  for (const Ranks ranks : kKinds) {
    SCOPED_TRACE(nameOf(ranks));
    EXPECT_EQ(playDevices(ranks, 3, {},
                          [](Peers& peers) -> std::string {
                            const auto bytes = peers.rank() == 1 ? 2 * kGranule : kGranule;
                            try {
                              Segments(peers, contextOf(peers), bytes, soon());
                              return "no error";
                            } catch (const Error& e) {
                              const bool right = e.code() == ErrorCode::mismatch && e.rank() == 1 &&
                                                 contains(e.what(), "2097152") &&
                                                 contains(e.what(), "4194304");
                              return right ? "" : e.what();
                            }
                          }),
              "");
  }
}

TEST(Segments, CannotBeLargerThanAnyGpu) {
  EXPECT_EQ(playDevices(Ranks::threads, 2, {},
                        [](Peers& peers) -> std::string {
                          try {
                            Segments(peers, contextOf(peers), ~std::uint64_t{0}, soon());
                            return "no error";
                          } catch (const Error& e) {
                            return e.code() == ErrorCode::invalidArgument ? "" : e.what();
                          }
                        }),
            "");
}

/// Calls of the driver on the way to segments.
constexpr std::array kCalls{"cuDeviceGetAttribute",
                            "cuDeviceGetUuid_v2",
                            "cuDeviceCanAccessPeer",
                            "cuMemGetAllocationGranularity",
                            "cuMemCreate",
                            "cuMemAddressReserve",
                            "cuMemMap",
                            "cuMemSetAccess",
                            "cuStreamCreate",
                            "cuMemsetD8Async",
                            "cuMemExportToShareableHandle",
                            "cuMemImportFromShareableHandle"};

/// The failure is one of the driver's ("out of memory"), or there was another way.
bool failedOrWentRound(const End& end) {
  return end.code ? contains(end.text, "CUDA_ERROR_OUT_OF_MEMORY")
                  : end.text.starts_with("works: ");
}

TEST(Segments, WhateverFailsOnOneRankFailsOnAllOrOnNone) {
  for (const Ranks ranks : kKinds)
    for (const char* call : kCalls)
      for (const int device : {0, 1})
        for (const int nth : {1, 2}) {
          const std::string failure = fmt::format("{}/{}=2@{}", call, device, nth);
          SCOPED_TRACE(fmt::format("{}, {}", nameOf(ranks), failure));
          EXPECT_EQ(endsLike(ranks, {{"LOCKSTEP_FAKE_FAIL", failure}}, failedOrWentRound), "");
        }
}

TEST(Segments, WhenAllWaysFailTheErrorNamesThemAll) {
  for (const char* call : {"cuMemAlloc_v2", "cuIpcGetMemHandle", "cuIpcOpenMemHandle_v2"})
    for (const int device : {0, 1}) {
      const std::string failure = fmt::format("{}/{}=2", call, device);
      SCOPED_TRACE(failure);
      EXPECT_EQ(endsLike(Ranks::processes,
                         {{"LOCKSTEP_FAKE_NO_FD_EXPORT", "1"}, {"LOCKSTEP_FAKE_FAIL", failure}},
                         [&](const End& end) {
                           return end.code == ErrorCode::system &&
                                  contains(end.text, "VMM, POSIX fds: rank 0: ") &&
                                  contains(end.text, "VMM, fabric handles: rank 0: ") &&
                                  contains(end.text, fmt::format("CUDA IPC: rank {}: ", device)) &&
                                  contains(end.text, "CUDA_ERROR_OUT_OF_MEMORY");
                         }),
                "");
    }
}

TEST(Segments, ARankThatIsGoneIsAnErrorOnTheOthers) {
  for (const Ranks ranks : kKinds) {
    SCOPED_TRACE(nameOf(ranks));
    EXPECT_EQ(playDevices(ranks, 3, {},
                          [](Peers& peers) -> std::string {
                            if (peers.rank() == 1) return {};
                            const End end = attempt(peers);
                            return end.code == ErrorCode::peerDied ? "" : end.text;
                          }),
              "");
  }
}

}  // namespace
}  // namespace lockstep::cuda
