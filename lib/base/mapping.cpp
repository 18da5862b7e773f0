#include "base/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fail.hpp"
#include "base/shared_ranges.hpp"

namespace lockstep {

namespace {
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr int kSeals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
}  // namespace

Mapping Mapping::ofFile(const Fd& fd, std::size_t bytes, Access access) {
  const int protection = access == Access::read ? PROT_READ : PROT_READ | PROT_WRITE;
  void* data = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) failErrno("cannot map {} bytes of shared memory", bytes);
  Mapping mapping(data, bytes);
  addSharedRange(data, roundUp(bytes, kPage));
  return mapping;
}

Mapping Mapping::anonymous(std::size_t bytes) {
  bytes = roundUp(bytes, kPage);
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) failErrno("cannot allocate {} bytes", bytes);
  if (bytes >= kHugePage) ::madvise(data, bytes, MADV_HUGEPAGE);  // a wish: failure changes nothing
  return {data, bytes};
}

void Mapping::reset() noexcept {
  if (data_ == nullptr) return;
  removeSharedRange(data_);  // before: then another mapping may begin here
  ::munmap(std::exchange(data_, nullptr), std::exchange(size_, 0));
}

Fd createSharedMemory(const char* label, std::size_t bytes) {
  Fd fd(::memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) failErrno("cannot create shared memory '{}'", label);
  if (::ftruncate(fd.get(), static_cast<off_t>(roundUp(bytes, kPage))) != 0)
    failErrno("cannot size shared memory '{}' to {} bytes", label, bytes);
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) failErrno("cannot seal the size of '{}'", label);
  return fd;
}

void checkSharedMemory(const Fd& fd, std::size_t bytes) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) failErrno("cannot look at a peer's shared memory");
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (static_cast<std::size_t>(status.st_size) != roundUp(bytes, kPage) || seals < 0 ||
      (seals & kSeals) != kSeals)
    fail(ErrorCode::bootstrap,
         "a peer's shared memory has {} bytes and seals {:#x}, expected {} bytes sealed against "
         "resizing; "
         "do all ranks run the same version of Lockstep?",
         status.st_size, seals, roundUp(bytes, kPage));
}

}  // namespace lockstep
