// Sockets: addresses, and input and output that a deadline bounds. Nothing here raises SIGPIPE or
// is disturbed by signals; every descriptor is close-on-exec and non-blocking.
#pragma once

#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include <sys/socket.h>

#include "base/clock.hpp"
#include "base/fd.hpp"

namespace lockstep {

/// An IPv4 or IPv6 address and port.
class SocketAddress {
 public:
  SocketAddress() = default;
  /// Where `socket` listens.
  static SocketAddress of(const Fd& socket);
  /// Reads what host() prints, and nothing else.
  static std::optional<SocketAddress> parse(const std::string& host, int port);

  /// "127.0.0.1", "::1"
  std::string host() const;
  int port() const;
  /// 0.0.0.0 or ::
  bool isWildcard() const;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = sizeof storage_;
};

/// The deadline that comes first.
Deadline sooner(Deadline a, Deadline b);

/// Waits until poll(2) reports any of `events`, an error or a hang-up. False: the deadline passed.
bool waitFor(const Fd& fd, short events, Deadline deadline);

/// Of this process or of the machine: it may end, but not by trying again at once.
constexpr bool outOfDescriptors(int error) {
  return error == EMFILE || error == ENFILE;
}

/// How an exchange with a peer ended.
enum class IoStatus { done, late, closed };

/// Bytes that can be taken or given without waiting; 0 if none, empty if the connection has ended.
std::optional<std::size_t> receiveNow(const Fd& socket, std::span<std::byte> to);
std::optional<std::size_t> sendNow(const Fd& socket, std::span<const std::byte> from);
/// Sends everything, waiting as needed.
IoStatus sendAll(const Fd& socket, std::span<const std::byte> from, Deadline deadline);

/// A socket that listens at a free port of the local address or host name `host`. Throws
/// invalidArgument if it is none of this machine's.
Fd listenTcp(const std::string& host);
/// Connects, trying again while nothing listens there. Throws timeout, or system.
Fd connectTcp(const SocketAddress& to, Deadline deadline);

}  // namespace lockstep
