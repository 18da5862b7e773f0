// Which reader, and getting at the text.
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.hpp"
#include "base/fd.hpp"
#include "topology/names.hpp"
#include "topology/readers/reader.hpp"

namespace lockstep::topology {
namespace {

/// A fifo would block, and a terminal too.
Fd openPlainFile(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) failErrno("{}: cannot open it", path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) failErrno("{}: cannot look at it", path);
  if (!S_ISREG(info.st_mode))
    fail(ErrorCode::invalidArgument, "{}: not a plain file; a topology file is expected", path);
  return file;
}

std::string contentsOf(const std::string& path) {
  const Fd file = openPlainFile(path);
  std::string text(kMostFileBytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) failErrno("{}: cannot read it", path);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kMostFileBytes)
    fail(ErrorCode::invalidArgument, "{}: larger than {} MiB; no topology file is", path,
         kMostFileBytes >> 20);
  text.resize(size);
  return text;
}

}  // namespace

Reading readTopology(std::string_view text, const std::string& source) {
  if (text.size() > kMostFileBytes)
    fail(ErrorCode::invalidArgument, "{}: larger than {} MiB; no topology file is", source,
         kMostFileBytes >> 20);
  for (const Reader* reader : allReaders())
    if (reader->recognises(text)) {
      Reading reading = reader->read(text, source);
      reading.inventory.source = source;
      requireSound(reading.inventory);
      return reading;
    }
  fail(ErrorCode::invalidArgument, "{}:1: of no known format; expected one of: {}", source,
       namesOf(allReaders()));
}

Reading readTopologyFile(const std::string& path) {
  return readTopology(contentsOf(path), path);
}

}  // namespace lockstep::topology
