// Everything that ranks settle by telling each other, against what nobody would say: before there
// are keys, in the clear modes, and on the way to a shrink nothing vouches for it.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "communicator/agreement.hpp"
#include "communicator/family.hpp"
#include "fuzz/played_peers.hpp"
#include "transport/cuda/together.hpp"
#include "transport/shm/call.hpp"
#include "transport/shm/fabric.hpp"
#include "transport/shm/regions.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

inline constexpr int kPlayedWorld = 3;

inline Deadline never() {
  return Deadline::in(std::chrono::seconds(5));
}

/// Three ranks, two of which are the input's: they say what rank 0 says, or nearly.
class Table {
 public:
  explicit Table(Input& input)
      : input_(input),
        peers_(
            0, kPlayedWorld, [this](auto mine) { return say(mine); },
            [this](const Fd& mine) { return give(mine); }) {}

  Peers& peers() { return peers_; }
  /// In the last all-gather that was about something.
  const Messages& said() const { return said_; }
  bool allAlike() const {
    return std::ranges::all_of(said_, [&](const Message& m) { return m == said_[0]; });
  }

 private:
  Messages say(std::span<const std::byte> mine) {
    Messages all(kPlayedWorld, Message(mine.begin(), mine.end()));
    if (mine.empty()) return all;  // who lingers wants to hear nothing
    for (Message& message : all)
      if (&message != all.data()) changeMessage(input_, message, all[0]);
    return said_ = all;
  }
  /// Files that are as they should be, or of another size, or that may change their size, or none.
  std::vector<Fd> give(const Fd& mine) {
    struct stat status {};
    demand(::fstat(mine.get(), &status) == 0);
    const auto bytes = static_cast<std::size_t>(status.st_size);
    std::vector<Fd> files(kPlayedWorld);
    for (std::size_t r = 1; r < files.size(); ++r) files[r] = file(bytes);
    return files;
  }
  Fd file(std::size_t bytes) {
    switch (input_.byte() % 8) {
      case 0:
        return createSharedMemory("fuzz", bytes + kPage);
      case 1:
        return createSharedMemory("fuzz", bytes > kPage ? bytes - kPage : 0);
      case 2:
        return Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
      case 3:
        return Fd(::memfd_create("fuzz", MFD_CLOEXEC));
      case 4: {
        Fd free(::memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        demand(::ftruncate(free.get(), static_cast<off_t>(bytes)) == 0);
        return free;
      }
      default: {
        Fd good = createSharedMemory("fuzz", bytes);
        const Message noise = input_.bytes(64);
        const auto at = static_cast<off_t>(input_.below(512) * 8);
        // Where there is room.
        [[maybe_unused]] const ssize_t n = ::pwrite(good.get(), noise.data(), noise.size(), at);
        return good;
      }
    }
  }

  Input& input_;
  PlayedPeers peers_;
  Messages said_;
};

/// Whatever it throws is an Error of one of these codes.
template <class Play>
bool plays(std::initializer_list<ErrorCode> codes, Play play) {
  try {
    play();
    return true;
  } catch (const Error& error) {
    demand(std::ranges::count(codes, error.code()) == 1);
    demandSound(error.what());
    return false;
  }
}

inline void wishes(Input& input, Table& table) {
  const family::Wish mine{.how = static_cast<family::How>(input.byte() % 3),
                          .color = static_cast<int>(input.byte() % 3) - 1,
                          .key = static_cast<int>(input.byte()),
                          .number = input.byte()};
  plays({ErrorCode::mismatch}, [&] {
    const auto all = family::exchange(table.peers(), mine, never());
    for (int rank = 0; rank < kPlayedWorld; ++rank) {
      const auto members = family::membersWith(all, rank);
      const std::set<int> different(members.begin(), members.end());
      demand(different.size() == members.size());
      demand(members.empty() == (all[static_cast<std::size_t>(rank)].color < 0));
      demand(members.empty() || different.contains(rank));
    }
  });
}

inline void counts(Input& input, Table& table) {
  const std::uint64_t mine = input.byte();
  const auto all = family::countsOf(table.peers(), mine, never());
  demand(all.size() == kPlayedWorld && all[0] == mine);
}

inline void options(Table& table) {
  const Options mine;
  const auto tuning = TuningTable::builtIn();
  const bool same = plays({ErrorCode::mismatch}, [&] {
    agreement::compare(table.peers(), mine, tuning, nullptr, never());
  });
  demand(same == table.allAlike());
}

inline void sizes(Input& input, Table& table) {
  const std::size_t mine = input.below(65536);
  const bool same =
      plays({ErrorCode::mismatch}, [&] { shm::compareSizes(table.peers(), mine, never()); });
  demand(!same || mine == 0 || table.allAlike());
}

inline void keys(Table& table) {
  static const std::shared_ptr<const cc::Aead> aead = cc::createAead();
  Options mine;
  mine.mode = Mode::ccMulticast;
  mine.psk.assign(32, std::byte{0x5a});
  Transcript transcript(table.peers());
  cc::Lineage lineage;
  // Not even where the others say what this rank says.
  demand(!plays({ErrorCode::keyExchange},
                [&] { agreement::keys(transcript, mine, aead, lineage, never()); }));
}

/// What a rank says of its share of a step.
inline void shares(Input& input, Table& table) {
  const unsigned how = input.byte();
  std::vector<std::uint64_t> all;
  const auto refusal = cuda::togetherTell<std::uint64_t>(
      table.peers(), never(),
      [&]() -> std::uint64_t {
        if (how % 4 == 1) throw Error(ErrorCode::unsupported, "not here");
        if (how % 4 == 2) throw cuda::PeersUnreachable(1, "not there");
        return how;
      },
      all);
  if (!refusal) return demand(all.size() == kPlayedWorld && all[0] == how);
  demand(refusal->rank >= 0 && refusal->rank < kPlayedWorld &&
         refusal->code <= ErrorCode::internal);
  demandSound(refusal->text);
}

inline void buffers(Input& input, Table& table) {
  const std::size_t bytes = input.below(3 * kPage);
  shm::Regions regions;
  plays({ErrorCode::mismatch, ErrorCode::bootstrap, ErrorCode::system}, [&] {
    for (int n = 0; n < 2; ++n) {
      const auto region = regions.add(table.peers(), bytes, never());
      for (const Mapping& map : region->maps)
        for (std::size_t at = 0; at < bytes; at += kPage) map.data()[at] = std::byte{1};
      const shm::Location where{input.byte() % 4, input.below(65536)};
      const std::byte* found = regions.resolve(1, where, input.below(65536));
      demand(found == nullptr ||
             (found >= region->maps[1].data() && found <= region->maps[1].data() + bytes));
    }
  });
}

inline void segments(Table& table) {
  plays({ErrorCode::bootstrap, ErrorCode::system}, [&] {
    shm::Fabric fabric(table.peers(), never());
    for (int rank = 0; rank < kPlayedWorld; ++rank) {
      const auto call = shm::read(fabric.of(rank).call);
      if (call) demandSound(shm::toString(*call));
      demandSound(shm::mismatchText(rank, fabric.of(rank).call, 0, fabric.mine().call, {}));
    }
  });
}

inline void agreedMessages(std::span<const std::byte> bytes) {
  Input input(bytes);
  const unsigned call = input.byte();
  Table table(input);
  switch (call % 10) {
    case 0:
      return wishes(input, table);
    case 1:
      return counts(input, table);
    case 2:
      return options(table);
    case 3:
      agreement::crossMemoryAttach(table.peers(), {}, never());
      return;
    case 4:
      plays({ErrorCode::bootstrap},
            [&] { agreement::ranksOutnumberCores(table.peers(), never()); });
      return;
    case 5:
      return sizes(input, table);
    case 6:
      return keys(table);
    case 7:
      return shares(input, table);
    case 8:
      return buffers(input, table);
    default:
      return segments(table);
  }
}

}  // namespace lockstep::fuzz
