#include "base/secret.hpp"

#include <sys/mman.h>

#include "base/fail.hpp"

namespace lockstep {

SecretPages::SecretPages(std::size_t bytes) : pages_(Mapping::anonymous(bytes)) {
  if (::madvise(pages_.data(), pages_.size(), MADV_DONTDUMP) != 0 ||
      ::madvise(pages_.data(), pages_.size(), MADV_WIPEONFORK) != 0)
    failErrno("cannot protect key memory (MADV_WIPEONFORK needs Linux 4.14)");
}

}  // namespace lockstep
