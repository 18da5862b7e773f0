// Message sizes: reading them from the command line, listing those of a table, printing them.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::bench {

/// Something the user typed is not accepted; `what()` says what is.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Largest message: beyond it the buffers of two ranks fit no machine this runs on.
inline constexpr std::size_t kMaxMessage = std::size_t{1} << 40;
/// Longest table.
inline constexpr std::size_t kMaxSizes = 4096;

/// Reads "64", "64B", "64K", "64KiB", "4M", "1G" (powers of 1024, as nccl-tests has them; any
/// case). Throws UsageError.
std::size_t parseSize(std::string_view text);

/// The sizes of a table: from `minBytes` up to `maxBytes`, by adding `stepBytes` or, when that is
/// 0, by multiplying with `stepFactor`.
struct SizeRange {
  std::size_t minBytes = 8;
  std::size_t maxBytes = std::size_t{64} << 20;
  std::size_t stepBytes = 0;
  std::size_t stepFactor = 2;
};
/// Throws UsageError for a range that is empty, endless or longer than kMaxSizes.
std::vector<std::size_t> listSizes(const SizeRange& range);

/// "8 B", "1 KiB", "1.5 MiB"
std::string formatBytes(double bytes);

}  // namespace lockstep::bench
