// Everything that this program sends through sockets.
#pragma once

#include <cstddef>
#include <vector>

namespace lockstep::testing {

/// What is given to send and sendmsg while this lives, piece after piece. One at a time.
class SentBytes {
 public:
  SentBytes();
  SentBytes(const SentBytes&) = delete;
  SentBytes& operator=(const SentBytes&) = delete;
  ~SentBytes();
  std::vector<std::byte> all() const;
};

}  // namespace lockstep::testing
