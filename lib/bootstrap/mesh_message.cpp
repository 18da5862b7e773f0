#include "bootstrap/mesh_message.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>

#include "base/fail.hpp"
#include "bootstrap/socket.hpp"

namespace lockstep {

namespace {

/// Room for the one descriptor that a message may carry, aligned as cmsg(3) wants it.
union FdControl {
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

Fd takeFd(const msghdr& message) {
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
    return Fd();
  int number = -1;
  std::memcpy(&number, CMSG_DATA(header), sizeof number);
  return Fd(number);
}

}  // namespace

Sent sendMessage(const Link& link, int to, std::span<const std::byte> bytes, const Fd& fd) {
  iovec data{const_cast<std::byte*>(bytes.data()), bytes.size()};
  FdControl control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (fd) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd.get();
    std::memcpy(CMSG_DATA(&control.header), &number, sizeof number);
  }
  for (;;) {
    if (::sendmsg(link.socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return Sent::yes;
    if (errno == EAGAIN || errno == ENOBUFS) return Sent::full;
    // A user may have RLIMIT_NOFILE descriptors in flight (unix(7)): peers have to take some first.
    if (errno == ETOOMANYREFS) return Sent::tooManyInFlight;
    if (errno == EPIPE || errno == ECONNRESET)
      throw Error(ErrorCode::peerDied, to, {}, fmt::format("rank {} is gone", to));
    if (errno != EINTR) failErrno("cannot send a message to rank {}", to);
  }
}

Received receiveMessage(const Link& link, std::span<std::byte> room, bool peek) {
  iovec data{room.data(), room.size()};
  FdControl control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!peek) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_LEN(sizeof(int));  // its padding would hold a second one
  }
  const int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (peek ? MSG_PEEK : 0);
  ssize_t got = 0;
  do {
    // A peer that closes its end with something unread resets the connection. That is told once;
    // what it sent before can still be read.
    got = ::recvmsg(link.socket.get(), &message, flags);
  } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
  if (got < 0) return {Received::Status::ended, 0, Fd()};
  Fd fd = takeFd(message);  // an empty message, which nobody sends but to do harm, may carry one
  if (got == 0) return {Received::Status::ended, 0, Fd()};
  return {Received::Status::message, static_cast<std::size_t>(got), std::move(fd)};
}

Waiting peekNote(const Link& link) {
  Waiting waiting;
  const Received got =
      receiveMessage(link, std::as_writable_bytes(std::span(&waiting.note, 1)), true);
  waiting.status = got.status;
  if (got.bytes != sizeof waiting.note) waiting.note.magic = 0;
  return waiting;
}

void discardMessage(const Link& link) {
  std::byte none;
  receiveMessage(link, std::span(&none, 1));
}

bool waitForLinks(std::span<const Link> links, RankSet unsent, RankSet unreceived, bool inFlight,
                  Deadline deadline) {
  std::array<pollfd, kMaxWorld> entries{};
  for (std::size_t r = 0; r < links.size(); ++r) {
    const RankSet bit = rankBit(static_cast<int>(r));
    const int events =
        ((unreceived & bit) != 0 ? POLLIN : 0) | ((unsent & bit) != 0 && !inFlight ? POLLOUT : 0);
    entries[r] = {events != 0 ? links[r].socket.get() : -1, static_cast<short>(events), 0};
  }
  if (inFlight) deadline = sooner(deadline, Deadline::in(std::chrono::milliseconds(1)));
  return ::poll(entries.data(), links.size(), deadline.pollMilliseconds()) > 0;
}

}  // namespace lockstep
