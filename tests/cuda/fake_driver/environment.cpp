#include "cuda/fake_driver/environment.hpp"

#include <cstdlib>
#include <mutex>
#include <sstream>
#include <vector>

namespace lockstep::cuda::fake {
namespace {

struct Failure {
  std::string symbol;
  int device = -1;  ///< any
  int code = 0;
  int nth = 0;  ///< every
  int calls = 0;
};

/// What follows `mark` in `entry`, which is cut off there; -1 where there is none.
int cutNumber(std::string& entry, char mark) {
  const std::size_t at = entry.find(mark);
  if (at == std::string::npos) return -1;
  const int value = std::atoi(entry.c_str() + at + 1);
  entry.resize(at);
  return value;
}

std::vector<Failure> parse(const std::string& list) {
  std::vector<Failure> failures;
  std::istringstream in(list);
  for (std::string entry; std::getline(in, entry, ',');) {
    Failure failure;
    failure.nth = std::max(0, cutNumber(entry, '@'));
    failure.code = cutNumber(entry, '=');
    failure.device = cutNumber(entry, '/');
    failure.symbol = entry;
    failures.push_back(failure);
  }
  return failures;
}

struct Failures {
  std::mutex mutex;
  std::string source;
  std::vector<Failure> list;
};

Failures& failures() {
  static auto* const all = new Failures;  // until the very end of the process
  return *all;
}

}  // namespace

std::string text(const char* variable, std::string_view otherwise) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0' ? value : std::string(otherwise);
}

long number(const char* variable, long otherwise) {
  const std::string value = text(variable);
  return value.empty() ? otherwise : std::strtol(value.c_str(), nullptr, 10);
}

bool isSet(const char* variable) {
  return number(variable, 0) != 0;
}

bool isMissing(std::string_view symbol) {
  std::istringstream in(text("LOCKSTEP_FAKE_MISSING"));
  for (std::string entry; std::getline(in, entry, ',');)
    if (entry == symbol) return true;
  return false;
}

int injectedFailure(std::string_view symbol, int device) {
  Failures& all = failures();
  const std::string source = text("LOCKSTEP_FAKE_FAIL");
  const std::lock_guard lock(all.mutex);
  if (source != all.source) {
    all.source = source;
    all.list = parse(source);
  }
  int code = 0;
  for (Failure& failure : all.list) {
    if (failure.symbol != symbol || (failure.device >= 0 && failure.device != device)) continue;
    ++failure.calls;
    if (failure.nth == 0 || failure.nth == failure.calls) code = failure.code;
  }
  return code;
}

}  // namespace lockstep::cuda::fake
