// Pre-shared keys of ccbench: `ccbench keygen` makes one in a file, --psk reads it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lockstep::bench {

inline constexpr const char* kKeygenCommand = "keygen";

/// `arguments` after "keygen": the file to make, or none for the usual name. The exit status, as
/// ccbench's. Throws UsageError for arguments, and for a file that exists or cannot be made.
int runKeygen(const std::vector<std::string>& arguments);

/// The key in `path`, or a fresh one if there is no path. The caller wipes it. Throws UsageError
/// for a file that is no key, or that others can read or write (cc_mode/keys/psk.hpp says what is
/// refused), system if there is no randomness.
std::vector<std::byte> readOrDrawPsk(const std::string& path);

}  // namespace lockstep::bench
