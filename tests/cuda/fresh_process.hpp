// Tests that need a process of their own, with an environment of their own: CUDA does not survive
// fork(), and is initialised once per process.
//
//   TEST(Driver, Refuses) {
//     if (fresh("no peers", {{"LOCKSTEP_FAKE_NO_PEER", "1"}})) { .. }
//   }
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lockstep::testing {

using Environment = std::vector<std::pair<std::string, std::string>>;

/// For a process that is to end by SIGSEGV, in a sanitizer's build too.
inline const Environment kNoCrashHandlers{{"ASAN_OPTIONS", "handle_segv=0"},
                                          {"TSAN_OPTIONS", "handle_segv=0"},
                                          {"UBSAN_OPTIONS", "handle_segv=0"}};

/// The test program starts itself again for the running test, with `environment` added. True there,
/// for the block of that name only; false in the process that started it, which fails the test
/// unless the other ended with `status` (minus a signal's number) and had no failures.
/// LOCKSTEP_FAKE_STRICT=1 is set, so what is still alive at the end is a failure too.
bool fresh(const std::string& name, const Environment& environment = {}, int status = 0);

}  // namespace lockstep::testing
