#include "communicator/attestation_tsm.hpp"

#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

#include "base/fail.hpp"
#include "base/fd.hpp"
#include <lockstep/attestation.hpp>

namespace lockstep {

namespace tsm {
namespace {

constexpr const char* kRoot = "/sys/kernel/config/tsm/report";

/// One request to the machine's security module; the kernel fills it with its files.
class Report {
 public:
  explicit Report(const std::string& root) : path_(root + "/lockstep-XXXXXX") {
    if (::mkdtemp(path_.data()) != nullptr) return;
    if (errno == ENOENT)
      fail(ErrorCode::unsupported,
           "there is no {}: this is no confidential virtual machine, its kernel is older than 6.7, "
           "or configfs is not mounted",
           root);
    if (errno == ENXIO)
      fail(ErrorCode::unsupported, "{} has no provider of reports (tdx_guest, sev_guest)", root);
    failErrno("cannot make a report in {}", root);
  }
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;
  ~Report() { ::rmdir(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Fd openFile(const std::string& path, int flags) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd && errno == ENOENT)
    fail(ErrorCode::unsupported, "there is no '{}': this is no report of configfs-tsm", path);
  if (!fd) failErrno("cannot open '{}'", path);
  return fd;
}

}  // namespace

std::vector<std::byte> quoteOfReport(const std::string& report,
                                     std::span<const std::byte> binding) {
  {
    const std::string path = report + "/inblob";
    const Fd in = openFile(path, O_WRONLY);
    const ssize_t n = ::write(in.get(), binding.data(), binding.size());
    if (n >= 0) errno = EIO;  // if it took a part
    if (n != static_cast<ssize_t>(binding.size())) failErrno("cannot write '{}'", path);
  }  // the kernel takes it when the file is closed
  const std::string path = report + "/outblob";
  const Fd out = openFile(path, O_RDONLY);
  std::vector<std::byte> quote(Attestation::kMaxQuoteBytes + 1);
  std::size_t size = 0;
  while (size < quote.size()) {
    const ssize_t n = ::read(out.get(), quote.data() + size, quote.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) failErrno("cannot read '{}'", path);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size == 0 || size > Attestation::kMaxQuoteBytes)
    fail(ErrorCode::unsupported, "'{}' has {} bytes; a quote has 1 to {}", path,
         size == 0 ? "no" : "more", Attestation::kMaxQuoteBytes);
  quote.resize(size);
  return quote;
}

std::vector<std::byte> quote(const std::string& root, std::span<const std::byte> binding) {
  if (binding.empty() || binding.size() > Attestation::kBindingBytes)
    fail(ErrorCode::invalidArgument, "a quote is bound to 1 to {} bytes, not to {}",
         Attestation::kBindingBytes, binding.size());
  const Report report(root);
  return quoteOfReport(report.path(), binding);
}

}  // namespace tsm

std::vector<std::byte> tsmQuote(std::span<const std::byte> binding) {
  return tsm::quote(tsm::kRoot, binding);
}

}  // namespace lockstep
