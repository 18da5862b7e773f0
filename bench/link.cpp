#include "bench/link.hpp"

#include <array>

#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>

#include "base/fail.hpp"

namespace lockstep::bench {

void Link::send(const nlohmann::json& message) {
  const std::string line = message.dump() + '\n';
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t n = ::send(fd_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) failErrno("cannot reach the other end of the run's control line");
    sent += static_cast<std::size_t>(n);
  }
}

bool Link::pump() {
  std::array<char, 65536> chunk;
  for (;;) {
    const ssize_t n = ::recv(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (n > 0) {
      received_.append(chunk.data(), static_cast<std::size_t>(n));
    } else if (n == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN || errno == EWOULDBLOCK;
    }
  }
}

std::optional<nlohmann::json> Link::next() {
  const std::size_t end = received_.find('\n', searched_);
  if (end == std::string::npos) {
    searched_ = received_.size();
    return std::nullopt;
  }
  auto message = nlohmann::json::parse(received_.begin(),
                                       received_.begin() + static_cast<std::ptrdiff_t>(end));
  received_.erase(0, end + 1);
  searched_ = 0;
  return message;
}

nlohmann::json Link::receive(Deadline deadline) {
  for (bool open = true;;) {
    if (auto message = next()) return std::move(*message);
    if (!open) fail(ErrorCode::bootstrap, "the process that started this rank is gone");
    if (deadline.passed())
      fail(ErrorCode::timeout, "the process that started this rank says nothing");
    pollfd ready{fd_.get(), POLLIN, 0};
    if (::poll(&ready, 1, deadline.pollMilliseconds()) > 0) open = pump();
  }
}

}  // namespace lockstep::bench
