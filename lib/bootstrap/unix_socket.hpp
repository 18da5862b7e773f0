// Unix sockets with abstract names, for processes of one host.
#pragma once

#include <optional>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.hpp"

namespace lockstep {

/// The abstract namespace has no files: nothing to clean up, and no directory to agree on. Its
/// names are open to every user of the host.
class UnixAddress {
 public:
  /// At most 107 bytes.
  explicit UnixAddress(std::string_view name);
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t size() const { return size_; }

 private:
  sockaddr_un address_{};
  socklen_t size_ = 0;
};

/// Keeps messages apart, and never blocks. Throws system.
Fd openUnix();

/// Who is at the other end; nothing, and errno, when nobody knows.
std::optional<ucred> credentialsOf(const Fd& socket);

/// It is a process of this user.
bool isOfThisUser(const Fd& socket);

}  // namespace lockstep
