// The repository as text: what the laws read.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::laws {

struct SourceFile {
  std::string path;  ///< relative to the root of the repository, with '/'
  std::string text;
};

/// A place that breaks a law. Prints as "path:line: what".
struct Offence {
  std::string path;
  int line = 0;  ///< from 1; 0 for the file as a whole
  std::string what;
  std::string print() const;
};

/// Every text file of ours below `root`, by path: no build folders, no dot-folders.
std::vector<SourceFile> readTree(const std::filesystem::path& root);

/// True for C++ (and CUDA) sources and headers.
bool isCode(std::string_view path);

enum class Strings { keep, blank };

/// `text` with comments replaced by blanks, and with Strings::blank also what string and character
/// literals contain. Line breaks stay, so line numbers do.
std::string withoutComments(std::string_view text, Strings strings);

/// The lines of `text`, without line breaks.
std::vector<std::string_view> linesOf(std::string_view text);

}  // namespace lockstep::laws
