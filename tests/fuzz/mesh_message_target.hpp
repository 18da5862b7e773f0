// A rank that says what it likes over its link and goes, in each of the calls that listen: they end
// by an error, or with what it has really given, and take over no descriptor that is not used.
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bootstrap/mesh_gather.hpp"
#include "bootstrap/mesh_group.hpp"
#include "bootstrap/mesh_message.hpp"
#include "bootstrap/mesh_shrink.hpp"
#include "bootstrap/unix_mesh.hpp"
#include "fuzz/input.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

/// Sends `bytes` with so many descriptors (at most 3). Does not wait.
inline void sendWith(const Fd& socket, std::span<const std::byte> bytes, std::size_t descriptors) {
  iovec data{const_cast<std::byte*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(3 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (descriptors != 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    // Not its own end, which would stay open in its own queue.
    const std::array<int, 3> numbers{STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};
    std::memcpy(CMSG_DATA(header), numbers.data(), descriptors * sizeof(int));
  }
  ::sendmsg(socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// Nearly a note, or noise, with something behind it and perhaps descriptors.
inline void sayMessage(Input& input, const Fd& socket) {
  const unsigned how = input.byte();
  MeshNote note{.kind = static_cast<NoteKind>(input.byte() % 7),
                .from = input.byte() % 3,
                .round = input.byte() % 4,
                .number = input.byte() % 4,
                .bytes = input.below(65536),
                .sets = {input.byte(), input.byte(), input.byte()}};
  if ((how & 1U) != 0) note.number <<= 32;
  if ((how & 2U) != 0) note.bytes <<= input.byte() % 64;
  if ((how & 4U) != 0) note.magic = input.byte();
  const auto head = std::as_bytes(std::span(&note, 1));
  std::vector<std::byte> message(head.begin(), head.end());
  if ((how & 8U) != 0) message = input.bytes(input.below(256));
  if ((how & 16U) != 0) {  // a part of a contribution is as long as it says, or 32 KiB
    message.resize(sizeof note + std::min<std::size_t>(note.bytes, std::size_t{32} << 10));
  } else {
    const auto behind = input.bytes(input.below(64));
    message.insert(message.end(), behind.begin(), behind.end());
  }
  sendWith(socket, message, how >> 6);
}

/// The next descriptors that are free: the same again when none was forgotten.
inline std::array<int, 8> freeDescriptors() {
  std::array<Fd, 8> probes;
  std::array<int, 8> numbers{};
  for (std::size_t i = 0; i < probes.size(); ++i) {
    probes[i] = Fd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
    numbers[i] = probes[i].get();
  }
  return numbers;
}

inline void listenTo(std::vector<Link>& links, int rank, unsigned call) {
  const auto deadline = Deadline::in(std::chrono::seconds(5));
  const auto check = [] {};
  const std::vector<std::byte> mine(10);
  const std::array<int, 2> members{0, 1};
  std::uint32_t shrinks = 0;
  switch (call % 4) {
    case 0: {
      const auto all = gatherOverLinks(links, rank, 1, mine, check, deadline);
      demand(all.size() == 2 && all[static_cast<std::size_t>(rank)] == mine);
      for (const auto& one : all) demand(one.size() <= kMaxContribution);
      return;
    }
    case 1:
      exchangeFds(links, rank, 1, Fd(), check, deadline);
      return;
    case 2:
      connectGroup(links, rank, members, 1, check, deadline);
      return;
    default:
      shrinkOverLinks(
          links, rank, shrinks, [](const std::vector<Link>&, std::span<const int>) {}, check,
          deadline);
  }
}

inline void meshMessages(std::span<const std::byte> bytes) {
  Input input(bytes);
  const auto before = freeDescriptors();
  {
    int ends[2];
    demand(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    Fd theirs(ends[1]);
    const unsigned call = input.byte();
    const int rank = static_cast<int>(input.byte() % 2);
    std::vector<Link> links(2);
    links[static_cast<std::size_t>(1 - rank)].socket = Fd(ends[0]);
    for (int messages = 0; messages < 64 && !input.empty(); ++messages) sayMessage(input, theirs);
    theirs.reset();
    try {
      listenTo(links, rank, call);
    } catch (const Error& error) {
      demand(error.code() == ErrorCode::peerDied || error.code() == ErrorCode::bootstrap ||
             error.code() == ErrorCode::timeout || error.code() == ErrorCode::aborted ||
             error.code() == ErrorCode::system);
    }
  }
  demand(freeDescriptors() == before);
}

}  // namespace lockstep::fuzz
