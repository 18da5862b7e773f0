// Text on its way out: to the standard streams, and to a file.
#pragma once

#include <string>
#include <string_view>

namespace lockstep::bench {

/// First of all in main: a standard stream that was closed at the start becomes one that ends at
/// once or refuses to be written, so that no file opened later is taken for it.
void occupyStandardStreams() noexcept;

/// Results, to standard output. Throws system when they cannot be written: they would be lost.
void print(std::string_view text);
/// "ccbench: ..." to standard error; fields of Options that have an option of ccbench as that. If
/// that cannot be written, the exit status has to say it.
void complain(std::string_view text) noexcept;
/// Text that nobody misses, to standard error: no line end, no complaint.
void hint(std::string_view text) noexcept;

/// Fails now rather than after a run of a minute. Throws UsageError, which names the option, when
/// `path` cannot be written.
void requireWritable(const std::string& path, const char* option = "--json");
/// Replaces the file in one step: readers see the old content or the new. A link stays, what it
/// points to is replaced. Throws system.
void writeFile(const std::string& path, const std::string& content);

}  // namespace lockstep::bench
