// The linker sends every call of send and sendmsg in this program here (--wrap, in
// tests/CMakeLists.txt). So the library needs no way to be listened to.
#include "secrets/sent_bytes.hpp"

#include <mutex>

#include <sys/socket.h>

namespace lockstep::testing {
namespace {

struct Record {
  std::mutex mutex;
  bool on = false;
  std::vector<std::byte> bytes;
};
Record& record() {
  static Record& only = *new Record;
  return only;
}

void add(const void* data, std::size_t bytes) {
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  const auto* from = static_cast<const std::byte*>(data);
  if (r.on) r.bytes.insert(r.bytes.end(), from, from + bytes);
}

}  // namespace

extern "C" {
ssize_t realSend(int fd, const void* data, std::size_t bytes, int flags) asm("__real_send");
ssize_t realSendmsg(int fd, const msghdr* message, int flags) asm("__real_sendmsg");
ssize_t wrappedSend(int fd, const void* data, std::size_t bytes, int flags) asm("__wrap_send");
ssize_t wrappedSendmsg(int fd, const msghdr* message, int flags) asm("__wrap_sendmsg");

ssize_t wrappedSend(int fd, const void* data, std::size_t bytes, int flags) {
  add(data, bytes);
  return realSend(fd, data, bytes, flags);
}
ssize_t wrappedSendmsg(int fd, const msghdr* message, int flags) {
  for (std::size_t i = 0; i < message->msg_iovlen; ++i)
    add(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
  return realSendmsg(fd, message, flags);
}
}

SentBytes::SentBytes() {
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  r.on = true;
  r.bytes.clear();
}
SentBytes::~SentBytes() {
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  r.on = false;
  r.bytes.clear();
}
std::vector<std::byte> SentBytes::all() const {
  Record& r = record();
  const std::lock_guard lock(r.mutex);
  return r.bytes;
}

}  // namespace lockstep::testing
