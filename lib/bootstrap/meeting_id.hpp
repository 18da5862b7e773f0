// The text that names a meeting point, taken apart.
#pragma once

#include <string>
#include <string_view>

#include "bootstrap/socket.hpp"
#include "bootstrap/token.hpp"

namespace lockstep {

struct MeetingId {
  SocketAddress address;
  Token token;
  bool keyed = false;  ///< lets in only those who prove that they know the pre-shared key

  /// Throws invalidArgument unless `text` is what text() of some id returns.
  static MeetingId parse(std::string_view text);
  /// "lockstep1:<address>:<port>:<32 hex digits>"; keyed: "lockstep2:...". An IPv6 address has its
  /// colons: the fields are found from the right.
  std::string text() const;
};

}  // namespace lockstep
