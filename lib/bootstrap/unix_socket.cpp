#include "bootstrap/unix_socket.hpp"

#include <cstddef>
#include <cstring>

#include <unistd.h>

#include "base/fail.hpp"

namespace lockstep {

UnixAddress::UnixAddress(std::string_view name) {
  if (name.size() >= sizeof address_.sun_path)
    fail(ErrorCode::internal, "'{}' is too long for the name of a Unix socket", name);
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path + 1, name.data(), name.size());  // the first byte is NUL
  size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

Fd openUnix() {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) failErrno("cannot create a Unix socket");
  return socket;
}

std::optional<ucred> credentialsOf(const Fd& socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer;
}

bool isOfThisUser(const Fd& socket) {
  const std::optional<ucred> peer = credentialsOf(socket);
  return peer && peer->uid == ::geteuid();
}

}  // namespace lockstep
