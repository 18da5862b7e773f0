#include "laws/source_tree.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include <fmt/format.h>

namespace lockstep::laws {

namespace {

bool isText(const std::filesystem::path& path) {
  static const std::set<std::string> extensions{".cpp", ".hpp", ".h",     ".cu",   ".cuh", ".c",
                                                ".md",  ".txt", ".cmake", ".json", ".sh",  ".py"};
  return extensions.contains(path.extension().string()) ||
         path.parent_path().filename() == "tools";  // scripts there have no extension
}

/// A C++ lexer that knows comments and literals, and nothing else.
class Blanker {
 public:
  Blanker(std::string_view text, Strings strings) : in_(text), strings_(strings) {}

  std::string run() {
    out_.reserve(in_.size());
    while (at_ < in_.size()) step();
    return std::move(out_);
  }

 private:
  bool starts(std::string_view word) const { return in_.substr(at_).starts_with(word); }
  bool afterWord() const {
    return !out_.empty() &&
           (std::isalnum(static_cast<unsigned char>(out_.back())) != 0 || out_.back() == '_');
  }
  void copy(std::size_t n) {
    out_ += in_.substr(at_, n);
    at_ = std::min(at_ + n, in_.size());
  }
  void blank(std::size_t n) {
    for (const char c : in_.substr(at_, n)) out_ += c == '\n' ? '\n' : ' ';
    at_ = std::min(at_ + n, in_.size());
  }
  /// Bytes from here up to and with the next `end`, or up to the end of the file.
  std::size_t upTo(std::string_view end, std::size_t skip) const {
    const std::size_t found = in_.find(end, at_ + skip);
    return found == std::string_view::npos ? in_.size() - at_ : found + end.size() - at_;
  }

  void step() {
    if (starts("//"))
      blank(std::min(in_.find('\n', at_), in_.size()) - at_);
    else if (starts("/*"))
      blank(upTo("*/", 2));
    else if (starts("R\"") && !afterWord())
      rawString();
    else if (in_[at_] == '"' || (in_[at_] == '\'' && !afterWord()))  // 1'000 is a number
      literal(in_[at_]);
    else
      copy(1);
  }
  void content(std::size_t n) { strings_ == Strings::keep ? copy(n) : blank(n); }
  void rawString() {
    const std::size_t open = in_.find('(', at_);
    if (open == std::string_view::npos) return copy(in_.size() - at_);
    const std::string end = ")" + std::string(in_.substr(at_ + 2, open - at_ - 2)) + "\"";
    copy(2);
    content(upTo(end, 0) - 1);
    copy(1);
  }
  void literal(char quote) {
    copy(1);
    while (at_ < in_.size() && in_[at_] != quote && in_[at_] != '\n')
      content(in_[at_] == '\\' ? 2 : 1);
    copy(1);
  }

  std::string_view in_;
  Strings strings_;
  std::string out_;
  std::size_t at_ = 0;
};

}  // namespace

std::string Offence::print() const {
  return line == 0 ? fmt::format("{}: {}", path, what) : fmt::format("{}:{}: {}", path, line, what);
}

std::vector<SourceFile> readTree(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  std::vector<SourceFile> files;
  for (auto entry = fs::recursive_directory_iterator(root); entry != fs::end(entry); ++entry) {
    const std::string name = entry->path().filename().string();
    if (entry->is_directory()) {
      const bool ours = !name.starts_with('.') && !name.starts_with("build") && name != "_deps";
      if (!ours) entry.disable_recursion_pending();
    } else if (entry->is_regular_file() && isText(entry->path())) {
      std::ifstream in(entry->path(), std::ios::binary);
      files.push_back({fs::relative(entry->path(), root).generic_string(),
                       {std::istreambuf_iterator<char>(in), {}}});
    }
  }
  std::ranges::sort(files, {}, &SourceFile::path);
  return files;
}

bool isCode(std::string_view path) {
  for (const std::string_view end : {".cpp", ".hpp", ".h", ".c", ".cu", ".cuh"})
    if (path.ends_with(end)) return true;
  return false;
}

std::string withoutComments(std::string_view text, Strings strings) {
  return Blanker(text, strings).run();
}

std::vector<std::string_view> linesOf(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

}  // namespace lockstep::laws
