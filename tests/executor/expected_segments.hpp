// What every byte of every rank's segment must be, if ranks do what their schedules say and nothing
// else. Written from what shm/segment.hpp says of the memory, and not with the code that writes it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/mapping.hpp"
#include "collectives/schedule.hpp"
#include "transport/shm/call.hpp"
#include "transport/shm/channel.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::host {

/// A message that has been written and, by every reader, consumed.
struct SealedMessage {
  schedule::Channel channel;
  shm::Protocol protocol = shm::Protocol::ll;
  shm::Step step = 0;
  std::uint64_t stamp = 0;
  std::vector<std::byte> sealed;  ///< ciphertexts, then their tags
};

class ExpectedSegments {
 public:
  explicit ExpectedSegments(int world) : world_(world), layout_(world) {
    for (int rank = 0; rank < world; ++rank) {
      images_.push_back(Mapping::anonymous(layout_.bytes()));
      payload_.emplace_back(layout_.bytes());
      control(rank).status.presence = static_cast<std::uint64_t>(shm::Presence::here);
    }
  }

  /// Every rank has said what it calls.
  void announced(const shm::CallDescription& call) {
    for (int rank = 0; rank < world_; ++rank) {
      shm::CallLine& line = control(rank).call;
      line.version += 2;
      line.sequence = call.sequence;
      shm::CallLine::Call& kept = line.calls[call.sequence % shm::kCallsKept];
      kept.what = static_cast<std::uint64_t>(call.collective) |
                  static_cast<std::uint64_t>(call.type) << 8 |
                  static_cast<std::uint64_t>(call.reduction) << 16 |
                  static_cast<std::uint64_t>(call.root) << 24;
      kept.count = call.count;
    }
  }

  /// Messages of one channel in the order of their steps: a slot holds what came last, and what is
  /// left of longer ones before it.
  void exchanged(const SealedMessage& m) {
    const std::size_t slot = m.step % (m.protocol == shm::Protocol::brief ? 32 : 8);
    const bool toAll = m.channel.reader == schedule::kEveryone;
    shm::OutArea& out = outArea(m.channel.writer, toAll ? world_ : m.channel.reader);
    if (m.protocol == shm::Protocol::simple) {
      put(m.channel.writer, out.payload[slot].data(), m.sealed);
      out.headers[slot].fingerprint = m.stamp;
      out.headers[slot].flag = m.step + 1;
    } else if (m.protocol == shm::Protocol::ll) {
      putLines(m, out.lines[slot].data());
    } else {
      putLines(m, out.briefLines[slot].data());
    }
    for (int reader = 0; reader < world_; ++reader) {
      if (reader == m.channel.writer || (!toAll && reader != m.channel.reader)) continue;
      shm::InArea& in = inArea(reader, m.channel.writer + (toAll ? world_ : 0));
      shm::Word* credits = m.protocol == shm::Protocol::simple ? in.simple.credit.data()
                           : m.protocol == shm::Protocol::ll   ? in.ll.credit.data()
                                                               : in.brief.credit.data();
      credits[slot] = m.step + 1;
    }
  }

  /// The first byte that is not what it must be, or nothing.
  std::optional<std::string> firstDifference(int rank, std::span<const std::byte> segment) const {
    const std::byte* image = images_[at(rank)].data();
    if (segment.size() == layout_.bytes() &&
        std::memcmp(image, segment.data(), segment.size()) == 0)
      return std::nullopt;
    const auto wrong =
        std::mismatch(segment.begin(), segment.end(), image, image + layout_.bytes()).first;
    const auto offset = static_cast<std::size_t>(wrong - segment.begin());
    if (offset == segment.size()) return "another size";
    return fmt::format("rank {}, {}: is {:#04x}, must be {:#04x}", rank, place(offset),
                       static_cast<unsigned>(*wrong), static_cast<unsigned>(image[offset]));
  }

  /// By byte: is it (or was it) ciphertext or a tag?
  const std::vector<std::uint8_t>& payload(int rank) const { return payload_[at(rank)]; }

 private:
  static std::size_t at(int rank) { return static_cast<std::size_t>(rank); }
  template <class T>
  T& in(int rank, std::size_t offset) const {
    return *reinterpret_cast<T*>(images_[at(rank)].data() + offset);
  }
  shm::ControlArea& control(int rank) const { return in<shm::ControlArea>(rank, 0); }
  shm::OutArea& outArea(int rank, int channel) const {
    return in<shm::OutArea>(rank, layout_.outArea(at(channel)));
  }
  shm::InArea& inArea(int rank, int channel) const {
    return in<shm::InArea>(rank, layout_.inArea(at(channel)));
  }

  void put(int rank, std::byte* to, std::span<const std::byte> sealed) {
    if (sealed.empty()) return;
    std::memcpy(to, sealed.data(), sealed.size());
    const auto first = payload_[at(rank)].begin() + (to - images_[at(rank)].data());
    std::fill_n(first, sealed.size(), std::uint8_t{1});
  }

  void putLines(const SealedMessage& m, shm::Line* line) {
    std::memcpy(line->data.data() + 48, &m.stamp, sizeof m.stamp);
    std::span<const std::byte> left = m.sealed;
    for (std::size_t room = 48;; room = 56, ++line) {
      const std::size_t n = std::min(left.size(), room);
      put(m.channel.writer, line->data.data(), left.first(n));
      line->flag = m.step + 1;
      left = left.subspan(n);
      if (left.empty()) return;
    }
  }

  /// For people.
  std::string place(std::size_t offset) const {
    if (offset < layout_.inArea(0)) return fmt::format("control, byte {}", offset);
    if (offset < layout_.outArea(0))
      return fmt::format("reading channel {}, byte {}",
                         (offset - layout_.inArea(0)) / sizeof(shm::InArea),
                         (offset - layout_.inArea(0)) % sizeof(shm::InArea));
    const std::size_t stride = layout_.outArea(1) - layout_.outArea(0);
    const std::size_t within = (offset - layout_.outArea(0)) % stride;
    const std::size_t payload = offsetof(shm::OutArea, payload);
    if (within < payload)
      return fmt::format("writing channel {}, headers and lines, byte {}",
                         (offset - layout_.outArea(0)) / stride, within);
    return fmt::format(
        "writing channel {}, slot {}, byte {}", (offset - layout_.outArea(0)) / stride,
        (within - payload) / shm::kSlotStride, (within - payload) % shm::kSlotStride);
  }

  int world_;
  shm::Layout layout_;
  std::vector<Mapping> images_;
  std::vector<std::vector<std::uint8_t>> payload_;
};

}  // namespace lockstep::host
