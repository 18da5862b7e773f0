// Pre-shared keys: drawing one, and keeping it in a file.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lockstep::cc {

/// 32 bytes from the system's generator of secrets. Throws system.
std::vector<std::byte> freshPsk();

/// Creates `path`, readable by its owner only, with a fresh key in it: one line of hexadecimal
/// text. On its disk when this returns. Throws invalidArgument if the file exists (a key in use is
/// never overwritten), system if it cannot be written; then there is none.
void writePskFile(const std::string& path);

/// The key in `path`: hexadecimal text, blanks and line ends at the end ignored. Throws
/// invalidArgument for a file that others than its owner can read or write, whose owner is neither
/// this user nor root, that is a symbolic link (name the file itself: who may change the link could
/// choose the key), that is no ordinary file (a pipe is refused at once, never waited for), that
/// holds anything else, or that has fewer than kMinPskBytes or more than 1024 bytes of key; system
/// if it cannot be read. The caller wipes the key.
std::vector<std::byte> readPskFile(const std::string& path);

}  // namespace lockstep::cc
