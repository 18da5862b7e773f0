#include "bench/floors/primitives.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <sys/uio.h>

#include "base/fail.hpp"
#include "bench/floors/gcm.hpp"
#include "bench/floors/kernels.hpp"
#include "bench/sizes.hpp"
#include "bench/statistics.hpp"

namespace lockstep::floors {
namespace {

constexpr std::size_t KiB = 1024, MiB = 1024 * KiB;
constexpr std::size_t kMost = 64 * MiB;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr int kBatches = 7;

/// Median seconds of one `work`, by rank 0 alone or by both ranks at once (then the slower's).
template <class Work>
double timeWork(Pair& pair, bool both, Work&& work) {
  constexpr double kBatchSeconds = 2e-3;
  const bool busy = both || pair.rank() == 0;
  std::uint64_t calls = 1;
  std::vector<double> batches;
  for (int i = 0; i <= kBatches; ++i) {
    pair.barrier();
    const auto start = Clock::now();
    if (busy)
      for (std::uint64_t c = 0; c < calls; ++c) work();
    const double took = std::chrono::duration<double>(Clock::now() - start).count();
    const double slower = pair.agreeOnMax(busy ? took : 0) / static_cast<double>(calls);
    if (i == 0)  // it warms the caches and sizes the others
      calls = static_cast<std::uint64_t>(std::clamp(kBatchSeconds / slower, 1.0, 1e6));
    else
      batches.push_back(slower);
  }
  return bench::median(batches);
}

class Measurer {
 public:
  explicit Measurer(Pair& pair)
      : pair_(pair),
        gcm_(pair, pair.peer()),
        a_(Mapping::anonymous(kMost + kPage)),
        b_(Mapping::anonymous(kMost + kPage)),
        c_(Mapping::anonymous(kMost + kPage)) {
    for (const Mapping* m : {&a_, &b_, &c_}) std::fill_n(floats(*m), kMost / sizeof(float), 1.0F);
  }

  std::vector<Primitive> all() {
    flags();
    for (const std::size_t bytes : {16 * KiB, 1 * MiB, 16 * MiB, 64 * MiB}) moves(bytes);
    lines();
    for (const std::size_t bytes : {64 * std::size_t{1}, 1 * KiB, 4 * KiB, 16 * KiB}) crypto(bytes);
    streamingCrypto();
    attach();
    return std::move(table_);
  }

 private:
  static float* floats(const Mapping& m) { return reinterpret_cast<float*>(m.data()); }

  /// Adds a rate in GB/s of `bytes` per call.
  template <class Work>
  void rate(std::string name, std::size_t bytes, Work&& work) {
    const auto gigabytes = [&](bool both) {
      return static_cast<double>(bytes) / timeWork(pair_, both, work) / 1e9;
    };
    const double one = gigabytes(false);
    table_.push_back({std::move(name), one, gigabytes(true), "GB/s"});
  }

  void flags() {
    const double exchange = timeWork(pair_, true, [&] { pair_.barrier(); });
    table_.push_back({"barrier (both raise a flag, both await)", kNone, exchange * 1e9, "ns"});
    Flag* mine = pair_.takeShared<Flag>(1);
    const Flag* theirs = pair_.theirs(mine);
    std::uint64_t step = 0;
    const double roundTrip = timeWork(pair_, true, [&] {
      ++step;
      if (pair_.rank() == 0) mine->raise(step);
      await(*theirs, step);
      if (pair_.rank() == 1) mine->raise(step);
    });
    table_.push_back({"flag, one way (half a round trip)", kNone, roundTrip / 2 * 1e9, "ns"});
  }

  /// Bytes count as read + written.
  void moves(std::size_t bytes) {
    const std::string size = bench::formatBytes(static_cast<double>(bytes));
    const std::size_t count = bytes / sizeof(float);
    rate("copy, " + size, 2 * bytes, [&] { copy(floats(b_), floats(a_), count); });
    rate("copy, streaming, " + size, 2 * bytes,
         [&] { copy<Write::streaming>(floats(b_), floats(a_), count); });
    rate("sum, " + size, 3 * bytes, [&] { sum(floats(c_), floats(a_), floats(b_), count); });
    rate("sum, streaming, " + size, 3 * bytes,
         [&] { sum<Write::streaming>(floats(c_), floats(a_), floats(b_), count); });
  }

  /// What the other core just wrote, fetched: both ranks write a slot and read the other's. Bytes
  /// count as exchanged, one direction.
  void lines() {
    exchange<Write::normal>("slot of 64 KiB exchanged, written normally");
    exchange<Write::streaming>("slot of 64 KiB exchanged, written streaming");
  }
  template <Write Slot>
  void exchange(const char* name) {
    constexpr std::size_t kBytes = 64 * KiB, kCount = kBytes / sizeof(float);
    float* slots = pair_.takeShared<float>(2 * kCount);
    const float* theirs = pair_.theirs(slots);
    std::uint64_t step = 0;
    const double seconds = timeWork(pair_, true, [&] {
      const std::size_t at = (++step & 1) * kCount;
      copy<Slot>(slots + at, floats(a_), kCount);
      pair_.barrier();
      copy(floats(b_), theirs + at, kCount);
    });
    table_.push_back({name, kNone, static_cast<double>(kBytes) / seconds / 1e9, "GB/s"});
  }

  /// On data in the L1 or L2 cache.
  void crypto(std::size_t bytes) {
    const std::string size = bench::formatBytes(static_cast<double>(bytes));
    rate("seal, hot, " + size, bytes, [&] { gcm_.seal(a_.data(), b_.data(), bytes); });
    rate("open, hot, " + size, bytes, [&] { gcm_.openUnchecked(b_.data(), c_.data(), bytes); });
  }

  /// 64 MiB from memory and back to it, by records of 16 KiB.
  void streamingCrypto() {
    constexpr std::size_t kRecord = 16 * KiB;
    const auto records = [&](auto&& work) {
      for (std::size_t at = 0; at < kMost; at += kRecord) work(at);
    };
    rate("seal, 64 MiB by 16 KiB", kMost, [&] {
      records([&](std::size_t at) { gcm_.seal(a_.data() + at, b_.data() + at, kRecord); });
    });
    rate("open, 64 MiB by 16 KiB", kMost, [&] {
      records([&](std::size_t at) { gcm_.openUnchecked(b_.data() + at, c_.data() + at, kRecord); });
    });
  }

  void attach() {
    std::byte** address = pair_.takeShared<std::byte*>(1);
    *address = a_.data();
    pair_.barrier();
    const auto read = [&, from = *pair_.theirs(address)](std::size_t bytes) {
      const iovec local{b_.data(), bytes}, remote{from, bytes};
      if (process_vm_readv(pair_.peerPid(), &local, 1, &remote, 1, 0) !=
          static_cast<ssize_t>(bytes))
        failErrno("process_vm_readv of {} B", bytes);
    };
    const double one = timeWork(pair_, false, [&] { read(1); });
    const double both = timeWork(pair_, true, [&] { read(1); });
    table_.push_back({"process_vm_readv of 1 B", one * 1e9, both * 1e9, "ns"});
    for (const std::size_t bytes : {64 * KiB, 512 * KiB, 16 * MiB})
      rate("process_vm_readv, " + bench::formatBytes(static_cast<double>(bytes)), bytes,
           [&] { read(bytes); });
  }

  Pair& pair_;
  Gcm gcm_;
  Mapping a_, b_, c_;
  std::vector<Primitive> table_;
};

}  // namespace

std::vector<Primitive> measurePrimitives(Pair& pair) {
  return Measurer(pair).all();
}

}  // namespace lockstep::floors
