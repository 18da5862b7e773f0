// A log of ptxas 11 to 13, for one kernel and a function that it calls:
//
//   ptxas info    : Compiling entry function 'k' for 'sm_80'
//   ptxas info    : Function properties for k
//   ptxas         .     120 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
//   ptxas info    : Used 32 registers, used 0 barriers, 120 bytes cumulative stack size, 256 bytes
//                   smem, 364 bytes cmem[0]
//   ptxas info    : Function properties for _Z1fPii
//   ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
//
// (The numbers are written in one line; what is 0 is left out of the line with the registers.)
#include "executor/cuda/ptxas_log.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace lockstep::cuda {

namespace {

/// The number right before `unit`: of "Used 32 registers, .." and " registers", 32.
std::optional<int> numberBefore(std::string_view line, std::string_view unit) {
  const auto end = line.find(unit);
  if (end == std::string_view::npos) return std::nullopt;
  auto begin = end;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9') --begin;
  int number = 0;
  const auto [stop, error] = std::from_chars(line.data() + begin, line.data() + end, number);
  if (error != std::errc{} || stop != line.data() + end) return std::nullopt;
  return number;
}

int sum(int a, int b) {
  return a > std::numeric_limits<int>::max() - b ? std::numeric_limits<int>::max() : a + b;
}

/// The rest of the line behind `words`, nothing if they are not in it.
std::optional<std::string_view> behind(std::string_view line, std::string_view words) {
  const auto at = line.find(words);
  if (at == std::string_view::npos) return std::nullopt;
  return line.substr(at + words.size());
}

class Reader {
 public:
  explicit Reader(std::string_view kernel) : kernel_(kernel) {}

  void line(std::string_view text) {
    if (const auto rest = behind(text, "Compiling entry function '")) {
      entry_ = rest->substr(0, rest->find('\''));
      ours_ = entry_ == kernel_;
    } else if (const auto function = behind(text, "Function properties for ")) {
      ours_ = *function == kernel_ || *function != entry_;  // a function that it may call
    } else if (ours_) {
      properties(text);
    }
  }

  Resources result;

 private:
  void properties(std::string_view text) {
    if (const auto frame = numberBefore(text, " bytes stack frame"))
      result.stackBytes = std::max(result.stackBytes.value_or(0), *frame);
    const auto stores = numberBefore(text, " bytes spill stores");
    const auto loads = numberBefore(text, " bytes spill loads");
    if (stores && loads)
      result.spillBytes = sum(result.spillBytes.value_or(0), sum(*stores, *loads));
    const auto registers = behind(text, "Used ") ? numberBefore(text, " registers") : std::nullopt;
    if (!registers) return;
    result.registers = registers;
    result.sharedBytes = numberBefore(text, " bytes smem").value_or(0);
    if (const auto all = numberBefore(text, " bytes cumulative stack size"))
      result.stackBytes = std::max(result.stackBytes.value_or(0), *all);
  }

  std::string_view kernel_;
  std::string_view entry_;  ///< whose turn it is
  bool ours_ = false;       ///< numbers that follow count
};

}  // namespace

Resources resourcesIn(std::string_view log, std::string_view kernel) {
  Reader reader(kernel);
  while (!log.empty()) {
    const auto end = log.find('\n');
    std::string_view line = log.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    reader.line(line);
    log = end == std::string_view::npos ? std::string_view{} : log.substr(end + 1);
  }
  return reader.result;
}

}  // namespace lockstep::cuda
