#include "bootstrap/socket.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "base/fail.hpp"

namespace lockstep {

namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

/// What getaddrinfo(3) finds for `host`; nothing if it finds nothing.
AddressList resolve(const std::string& host, int flags, int& status) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  status = ::getaddrinfo(host.c_str(), "0", &hints, &found);
  return {status == 0 ? found : nullptr, &::freeaddrinfo};
}

Fd openTcp(int family) {
  Fd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) failErrno("cannot create a TCP socket");
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

bool wouldBlock(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS;
}

/// TCP lets a socket that looks for a listener at a free port of its own host meet itself (both
/// ends pick the same port: simultaneous open, RFC 9293 3.5).
bool metItself(const Fd& socket, const SocketAddress& peer) {
  const SocketAddress own = SocketAddress::of(socket);
  return own.port() == peer.port() && own.host() == peer.host();
}

/// errno of one attempt to connect, or 0.
int tryConnect(const Fd& socket, const SocketAddress& to, Deadline deadline) {
  if (::connect(socket.get(), to.get(), to.size()) == 0) return 0;
  if (errno != EINPROGRESS && errno != EINTR) return errno;
  if (!waitFor(socket, POLLOUT, deadline)) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace

SocketAddress SocketAddress::of(const Fd& socket) {
  SocketAddress address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address.storage_), &address.size_) !=
      0)
    failErrno("cannot read the address of a socket");
  return address;
}

std::optional<SocketAddress> SocketAddress::parse(const std::string& host, int port) {
  int status = 0;
  const AddressList found = resolve(host, AI_NUMERICHOST, status);
  if (!found) return std::nullopt;
  SocketAddress address;
  std::memcpy(&address.storage_, found->ai_addr, found->ai_addrlen);
  address.size_ = found->ai_addrlen;
  const auto wirePort = htons(static_cast<std::uint16_t>(port));
  if (found->ai_family == AF_INET6)
    reinterpret_cast<sockaddr_in6*>(&address.storage_)->sin6_port = wirePort;
  else
    reinterpret_cast<sockaddr_in*>(&address.storage_)->sin_port = wirePort;
  if (address.host() != host) return std::nullopt;  // another spelling, such as 127.1
  return address;
}

std::string SocketAddress::host() const {
  char text[NI_MAXHOST];
  const int status = ::getnameinfo(get(), size_, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  if (status != 0) fail(ErrorCode::system, "cannot print an address: {}", ::gai_strerror(status));
  return text;
}

int SocketAddress::port() const {
  return ntohs(storage_.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
}

bool SocketAddress::isWildcard() const {
  if (storage_.ss_family == AF_INET6)
    return IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr);
  return reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr.s_addr == htonl(INADDR_ANY);
}

Deadline sooner(Deadline a, Deadline b) {
  return a.at() < b.at() ? a : b;
}

bool waitFor(const Fd& fd, short events, Deadline deadline) {
  for (;;) {
    pollfd entry{fd.get(), events, 0};
    const int ready = ::poll(&entry, 1, deadline.pollMilliseconds());
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) failErrno("cannot wait for a socket");
    if (deadline.passed()) return false;
  }
}

std::optional<std::size_t> receiveNow(const Fd& socket, std::span<std::byte> to) {
  for (;;) {
    const ssize_t n = ::recv(socket.get(), to.data(), to.size(), MSG_DONTWAIT);
    if (n > 0) return static_cast<std::size_t>(n);
    if (n == 0) return std::nullopt;
    if (wouldBlock(errno)) return 0;
    if (errno != EINTR) return std::nullopt;
  }
}

std::optional<std::size_t> sendNow(const Fd& socket, std::span<const std::byte> from) {
  for (;;) {
    const ssize_t n = ::send(socket.get(), from.data(), from.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (wouldBlock(errno)) return 0;
    if (errno != EINTR) return std::nullopt;
  }
}

IoStatus sendAll(const Fd& socket, std::span<const std::byte> from, Deadline deadline) {
  while (!from.empty()) {
    const auto sent = sendNow(socket, from);
    if (!sent) return IoStatus::closed;
    from = from.subspan(*sent);
    if (*sent == 0 && !waitFor(socket, POLLOUT, deadline)) return IoStatus::late;
  }
  return IoStatus::done;
}

Fd listenTcp(const std::string& host) {
  int status = 0;
  const AddressList found = resolve(host, 0, status);
  if (!found)
    fail(ErrorCode::invalidArgument,
         "cannot find the address '{}' to listen on: {}; give an address of this machine, or none "
         "for loopback",
         host, ::gai_strerror(status));
  for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) {
    Fd socket = openTcp(one->ai_family);
    if (::bind(socket.get(), one->ai_addr, one->ai_addrlen) != 0) continue;
    if (::listen(socket.get(), SOMAXCONN) != 0) failErrno("cannot listen on '{}'", host);
    if (SocketAddress::of(socket).isWildcard())
      fail(ErrorCode::invalidArgument,
           "'{}' means every interface, which no other rank could connect to; give the address of "
           "one",
           host);
    return socket;
  }
  fail(ErrorCode::invalidArgument, "cannot listen on '{}': {}; give an address of this machine",
       host, std::strerror(errno));
}

Fd connectTcp(const SocketAddress& to, Deadline deadline) {
  using namespace std::chrono_literals;
  Clock::duration pause = 1ms;
  for (;;) {
    Fd socket = openTcp(to.get()->sa_family);
    const int error = tryConnect(socket, to, deadline);
    if (error == 0 && !metItself(socket, to)) return socket;
    // Nothing may listen there yet, or a full backlog may have turned the connection away.
    const bool mayCome = error == 0 || error == ECONNREFUSED || error == ETIMEDOUT ||
                         error == ECONNRESET || error == EINTR || error == EAGAIN;
    if (!mayCome) {
      errno = error;
      failErrno("cannot connect to the meeting point at {} port {}", to.host(), to.port());
    }
    if (deadline.passed())
      fail(ErrorCode::timeout,
           "no meeting point answers at {} port {}; is the process that created the id still "
           "running, and is the id of this run?",
           to.host(), to.port());
    std::this_thread::sleep_until(std::min(Clock::now() + pause, deadline.at()));
    pause = std::min<Clock::duration>(2 * pause, 100ms);
  }
}

}  // namespace lockstep
