#include "base/secret.hpp"

#include <cstring>

#include <sys/mman.h>

#include "base/fail.hpp"

namespace lockstep {

void wipe(void* data, std::size_t bytes) noexcept {
  if (bytes == 0) return;  // `data` may be null then
  std::memset(data, 0, bytes);
  asm volatile("" : : "r"(data) : "memory");  // the zeroes count as read
}

SecretPages::SecretPages(std::size_t bytes) : pages_(Mapping::anonymous(bytes)) {
  if (::madvise(pages_.data(), pages_.size(), MADV_DONTDUMP) != 0 ||
      ::madvise(pages_.data(), pages_.size(), MADV_WIPEONFORK) != 0)
    failErrno("cannot protect key memory (MADV_WIPEONFORK needs Linux 4.14)");
}

}  // namespace lockstep
