#include "bench/abstract_socket.hpp"

#include <array>
#include <cstring>

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fail.hpp"
#include "bench/hex.hpp"

namespace lockstep::bench {
namespace {

struct Address {
  sockaddr_un value{};
  socklen_t size = 0;
};

/// unix(7): an abstract name starts with a zero byte and ends with the address.
Address addressOf(const std::string& name) {
  Address address;
  address.value.sun_family = AF_UNIX;
  if (name.size() + 1 > sizeof address.value.sun_path)
    fail(ErrorCode::invalidArgument, "'{}' is no socket of ccbench", name);
  std::memcpy(address.value.sun_path + 1, name.data(), name.size());
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

Fd unixSocket(int flags) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd) failErrno("cannot open a Unix socket");
  return fd;
}

}  // namespace

Fd listenAbstract(std::string& name) {
  std::array<std::byte, 16> random{};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    failErrno("the system gives no random numbers");
  name = "lockstep-ccbench-" + toHex(random);
  Fd fd = unixSocket(SOCK_NONBLOCK);
  const Address address = addressOf(name);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.value), address.size) != 0 ||
      ::listen(fd.get(), SOMAXCONN) != 0)
    failErrno("cannot listen on a Unix socket");
  return fd;
}

Fd acceptSameUser(const Fd& listener) {
  Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd) return {};
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid())
    return {};
  return fd;
}

Fd connectAbstract(const std::string& name) {
  Fd fd = unixSocket(0);
  const Address address = addressOf(name);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.value), address.size) != 0)
    failErrno("cannot reach the process that started this run");
  return fd;
}

}  // namespace lockstep::bench
