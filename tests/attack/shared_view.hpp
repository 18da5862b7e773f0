// What whoever has all shared memory of a communicator can read and write: every rank's segment,
// and in them messages, flags, credits and words of status.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "transport/shm/channel.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::testing {

using Bytes = std::vector<std::byte>;

inline constexpr std::array<shm::Protocol, shm::kProtocols> kAllProtocols{
    shm::Protocol::simple, shm::Protocol::ll, shm::Protocol::brief};

/// Where a message lies. `channel`: the reader's rank, or the size of the world for everyone.
struct Spot {
  int writer = 0, channel = 0;
  shm::Protocol protocol = shm::Protocol::simple;
  std::size_t slot = 0;
  friend auto operator<=>(const Spot&, const Spot&) = default;
};

/// Segments by rank, wherever they are mapped.
class SharedView {
 public:
  explicit SharedView(std::vector<std::byte*> segments)
      : segments_(std::move(segments)), layout_(world()) {}

  int world() const { return static_cast<int>(segments_.size()); }
  std::byte* segment(int rank) const { return segments_[static_cast<std::size_t>(rank)]; }
  shm::ControlArea& control(int rank) const {
    return *reinterpret_cast<shm::ControlArea*>(segment(rank));
  }
  shm::OutArea& out(int writer, int channel) const {
    return *reinterpret_cast<shm::OutArea*>(segment(writer) +
                                            layout_.outArea(static_cast<std::size_t>(channel)));
  }
  /// `index`: the writer of the channel, or its rank and the size of the world for everyone.
  shm::InArea& in(int reader, int index) const {
    return *reinterpret_cast<shm::InArea*>(segment(reader) +
                                           layout_.inArea(static_cast<std::size_t>(index)));
  }
  /// The credits that `reader` gives for a channel, a word for each slot.
  std::span<shm::Word> credits(const Spot& at, int reader) const {
    shm::InArea& area = in(reader, at.channel == world() ? world() + at.writer : at.writer);
    if (at.protocol == shm::Protocol::brief) return area.brief.credit;
    return at.protocol == shm::Protocol::simple ? area.simple.credit : area.ll.credit;
  }
  shm::Word& credit(const Spot& at, int reader) const { return credits(at, reader)[at.slot]; }
  /// The lines of a slot, of protocols that have lines.
  std::span<shm::Line> lines(const Spot& at) const {
    shm::OutArea& area = out(at.writer, at.channel);
    if (at.protocol == shm::Protocol::brief) return area.briefLines[at.slot];
    return area.lines[at.slot];
  }
  /// The flag of a slot, or of its first line.
  shm::Word& flag(const Spot& at) const {
    return isLines(at.protocol) ? lines(at)[0].flag
                                : out(at.writer, at.channel).headers[at.slot].flag;
  }
  /// Says that a message is there, however long.
  void setFlags(const Spot& at, shm::Step step) const {
    if (!isLines(at.protocol)) return flag(at).store(step + 1);
    for (shm::Line& line : lines(at)) line.flag.store(step + 1);
  }
  void clearFlags(const Spot& at) const { setFlags(at, ~shm::Step{0}); }
  void setStamp(const Spot& at, std::uint64_t stamp) const {
    if (isLines(at.protocol))
      std::memcpy(lines(at)[0].data.data() + shm::kFirstLineBytes, &stamp, sizeof stamp);
    else
      out(at.writer, at.channel).headers[at.slot].fingerprint.store(stamp);
  }

  /// A byte of what lies in a slot.
  std::byte& at(const Spot& spot, std::size_t offset) const {
    if (!isLines(spot.protocol)) return out(spot.writer, spot.channel).payload[spot.slot][offset];
    const auto all = lines(spot);
    if (offset < shm::kFirstLineBytes) return all[0].data[offset];
    const std::size_t rest = offset - shm::kFirstLineBytes;
    return all[1 + rest / shm::kLineBytes].data[rest % shm::kLineBytes];
  }
  Bytes read(const Spot& spot, std::size_t bytes) const {
    Bytes content(bytes);
    for (std::size_t i = 0; i < bytes; ++i) content[i] = at(spot, i);
    return content;
  }
  void write(const Spot& spot, const Bytes& content) const {
    for (std::size_t i = 0; i < content.size(); ++i) at(spot, i) = content[i];
  }

 private:
  std::vector<std::byte*> segments_;
  shm::Layout layout_;
};

}  // namespace lockstep::testing
