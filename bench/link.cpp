#include "bench/link.hpp"

#include <array>

#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>

#include "base/fail.hpp"

namespace lockstep::bench {

namespace {

[[noreturn]] void failGone() {
  fail(ErrorCode::bootstrap, "the process that started this rank is gone");
}

}  // namespace

void Link::send(const nlohmann::json& message) {
  const std::string line = message.dump() + '\n';
  write(line.data(), line.size());
}

void Link::write(const void* data, std::size_t bytes) {
  for (std::size_t sent = 0; sent < bytes;) {
    const ssize_t n =
        ::send(fd_.get(), static_cast<const char*>(data) + sent, bytes - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) failErrno("cannot reach the other end of the run's control line");
    sent += static_cast<std::size_t>(n);
  }
}

void Link::sendKey(std::span<const std::byte> key) {
  const auto bytes = static_cast<std::uint16_t>(key.size());
  if (bytes != key.size()) fail(ErrorCode::invalidArgument, "a key of {} bytes", key.size());
  write(&bytes, sizeof bytes);
  write(key.data(), key.size());
}

std::vector<std::byte> Link::receiveKey(Deadline deadline) {
  std::uint16_t bytes = 0;
  readExactly(&bytes, sizeof bytes, deadline);
  std::vector<std::byte> key(bytes);
  readExactly(key.data(), key.size(), deadline);
  return key;
}

/// Nothing beyond them is taken off the line: what follows a key is text again.
void Link::readExactly(void* data, std::size_t bytes, Deadline deadline) {
  for (std::size_t have = 0; have < bytes;) {
    const ssize_t n =
        ::recv(fd_.get(), static_cast<char*>(data) + have, bytes - have, MSG_DONTWAIT);
    if (n > 0) {
      have += static_cast<std::size_t>(n);
      continue;
    }
    if (n == 0) failGone();
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) failErrno("cannot read the run's control line");
    await(deadline);
  }
}

/// Until there is something to read.
void Link::await(Deadline deadline) const {
  if (deadline.passed())
    fail(ErrorCode::timeout, "the process that started this rank says nothing");
  pollfd ready{fd_.get(), POLLIN, 0};
  ::poll(&ready, 1, deadline.pollMilliseconds());
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
    if (!open) failGone();
    await(deadline);
    open = pump();
  }
}

}  // namespace lockstep::bench
