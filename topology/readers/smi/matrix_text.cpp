#include "topology/readers/smi/matrix_text.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace lockstep::topology::smi {
namespace {

using Words = std::vector<std::string_view>;

constexpr std::string_view kCells = "X, NV#, XGMI#, PIX, PXB, PHB, NODE, SYS or SOC";
constexpr std::size_t kLongestName = 64;
/// A column's name may be three words ("GPU NUMA ID"); there are few of those.
constexpr std::size_t kMostWords = kMostColumns + 16;
/// Before the matrix there may be a prompt, or what else a report begins with.
constexpr int kMostLinesBefore = 1000;

bool isSpace(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

/// One line after another, without what makes terminals underline.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text), rest_(text) {}

  bool next() {
    if (rest_.empty()) return false;
    offset_ = text_.size() - rest_.size();
    const std::size_t end = std::min(rest_.find('\n'), rest_.size());
    plain_ = withoutEscapes(rest_.substr(0, end));
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    ++number_;
    return true;
  }
  int number() const { return number_; }
  /// Where the line begins.
  std::size_t offset() const { return offset_; }
  /// Valid until next(). No more of them than any matrix has, and one.
  Words words() const {
    Words words;
    std::string_view rest = plain_;
    while (words.size() <= kMostWords) {
      while (!rest.empty() && isSpace(rest.front())) rest.remove_prefix(1);
      if (rest.empty()) break;
      const auto end =
          static_cast<std::size_t>(std::find_if(rest.begin(), rest.end(), isSpace) - rest.begin());
      words.push_back(rest.substr(0, end));
      rest.remove_prefix(end);
    }
    return words;
  }

 private:
  /// ESC, '[', parameters, and a letter that ends them.
  static std::string withoutEscapes(std::string_view line) {
    std::string plain;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] != '\033') {
        plain += line[i];
        continue;
      }
      if (i + 1 < line.size() && line[i + 1] == '[') ++i;
      while (i + 1 < line.size() &&
             (line[i + 1] == ';' || (line[i + 1] >= '0' && line[i + 1] <= '9')))
        ++i;
      ++i;
    }
    return plain;
  }

  std::string_view text_, rest_;
  std::size_t offset_ = 0;
  std::string plain_;
  int number_ = 0;
};

bool isHeading(const Words& words) {
  return !words.empty() && words[0] == "GPU0" &&
         std::find(words.begin(), words.end(), "X") == words.end();
}

/// What follows `prefix`, a number and nothing else: 3 of "GPU3".
std::optional<int> numbered(std::string_view word, std::string_view prefix) {
  if (!word.starts_with(prefix)) return std::nullopt;
  word.remove_prefix(prefix.size());
  int number = 0;
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, number);
  if (error != std::errc() || stop != end || number < 0) return std::nullopt;
  return number;
}

/// For messages: files may hold anything.
std::string shown(std::string_view word) {
  std::string text;
  for (const char c : word.substr(0, kLongestName)) text += c >= ' ' && c <= '~' ? c : '?';
  return text;
}

bool isName(std::string_view word) {
  return word.size() <= kLongestName &&
         std::all_of(word.begin(), word.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::optional<Cell> cellOf(std::string_view word) {
  if (word == "X") return Cell{.near = Near::self};
  if (word == "PIX") return Cell{.near = Near::pix};
  if (word == "PXB") return Cell{.near = Near::pxb};
  if (word == "PHB" || word == "NODE") return Cell{.near = Near::node};
  if (word == "SYS" || word == "SOC") return Cell{.near = Near::sys};
  if (word == "NVB") return Cell{};  // what this project's own matrix says; follows from the others
  for (const auto& [prefix, xgmi] : {std::pair("NV", false), std::pair("XGMI", true)})
    if (const auto links = numbered(word, prefix); links && *links >= 1 && *links <= 1000)
      return Cell{.links = *links, .xgmi = xgmi};
  return std::nullopt;
}

class MatrixParser {
 public:
  MatrixParser(std::string_view text, xml::Report& report) : lines_(text), report_(report) {}

  Matrix parse() {
    heading();
    matrix_.cells.resize(size() * size());
    for (std::size_t row = 0; row < size(); ++row) readRow(row);
    nicLegend();
    return std::move(matrix_);
  }

 private:
  std::size_t size() const { return matrix_.devices.size(); }

  template <class... Args>
  [[noreturn]] void wrong(fmt::format_string<Args...> text, Args&&... args) const {
    report_.fail(lines_.offset(), text, std::forward<Args>(args)...);
  }

  void heading() {
    while (lines_.next() && lines_.number() <= kMostLinesBefore) {
      const Words words = lines_.words();
      if (isHeading(words)) return columns(words);
    }
    wrong("the line of columns is missing, which begins with GPU0");
  }

  void columns(const Words& words) {
    std::size_t word = 0;
    while (word < words.size() && !isExtra(words, word)) addDevice(words[word++]);
    while (word < words.size()) addExtra(words, word);
  }

  static bool isExtra(const Words& words, std::size_t at) {
    const std::string_view next = at + 1 < words.size() ? words[at + 1] : std::string_view();
    const bool affinity = words[at] == "CPU" || words[at] == "NUMA";
    return (affinity && next == "Affinity") || (words[at] == "GPU" && next == "NUMA");
  }

  void addDevice(std::string_view name) {
    if (size() == kMostColumns) wrong("more than {} columns", kMostColumns);
    if (!isName(name)) wrong("'{}' is no device; expected GPU0, NIC0, mlx5_0, ...", shown(name));
    const bool known = !column_.try_emplace(std::string(name), size()).second;
    if (known) wrong("two columns are named {}", name);
    Device device;
    device.name = name;
    if (const auto number = numbered(name, "GPU")) {
      device.gpu = true;
      device.number = *number;
    } else if (const auto nic = numbered(name, "NIC")) {
      device.number = *nic;
    }
    matrix_.devices.push_back(std::move(device));
  }

  void addExtra(const Words& words, std::size_t& at) {
    if (!isExtra(words, at))
      wrong("column '{}' after the devices; expected CPU Affinity, NUMA Affinity or GPU NUMA ID",
            shown(words[at]));
    if (words[at] == "CPU") {
      extras_.push_back(&Device::threads);
    } else if (words[at] == "NUMA") {
      extras_.push_back(&Device::nodes);
    } else {
      extras_.push_back(&Device::memory);
      if (at + 2 < words.size() && words[at + 2] == "ID") ++at;
    }
    at += 2;
  }

  void readRow(std::size_t row) {
    Device& device = matrix_.devices[row];
    const Words words = nextWords(device.name);
    if (words[0] != device.name)
      wrong("the row of {} is expected here, as columns are ordered; found '{}'", device.name,
            shown(words[0]));
    if (words.size() < size() + 1)
      wrong("the row of {} has {} cells; expected {}", device.name, words.size() - 1, size());
    for (std::size_t column = 0; column < size(); ++column)
      readCell(row, column, words[column + 1]);
    const std::size_t more = words.size() - size() - 1;
    if (more > extras_.size())
      wrong("the row of {} goes on after its {} cells; expected {} more", device.name, size(),
            extras_.size());
    for (std::size_t i = 0; i < more; ++i) {
      const std::string_view word = words[size() + 1 + i];
      if (word != "N/A" && isName(word)) device.*extras_[i] = word;
    }
  }

  Words nextWords(const std::string& expected) {
    while (lines_.next())
      if (Words words = lines_.words(); !words.empty()) return words;
    wrong("the text ends where the row of {} is expected", expected);
  }

  void readCell(std::size_t row, std::size_t column, std::string_view word) {
    const std::string& a = matrix_.devices[row].name;
    const std::string& b = matrix_.devices[column].name;
    const auto cell = cellOf(word);
    if (!cell) wrong("{} to {}: '{}'; expected {}", a, b, shown(word), kCells);
    if ((cell->near == Near::self) != (row == column))
      wrong("{} to {}: '{}'; expected X for a device and itself only", a, b, shown(word));
    if (cell->links > 0 && !(matrix_.devices[row].gpu && matrix_.devices[column].gpu))
      wrong("{} to {}: '{}'; links are between GPUs", a, b, shown(word));
    matrix_.cells[row * size() + column] = *cell;
    if (column < row && matrix_.at(column, row) != *cell)
      wrong("{} to {} is '{}', but {} to {} is something else", a, b, shown(word), b, a);
  }

  /// "NIC0: mlx5_0", in any order, and all that is around them ignored.
  void nicLegend() {
    while (lines_.next()) {
      const Words words = lines_.words();
      if (words.size() != 2 || !words[0].ends_with(':')) continue;
      const auto column = column_.find(words[0].substr(0, words[0].size() - 1));
      if (column == column_.end() || matrix_.devices[column->second].gpu) continue;
      if (isName(words[1]))
        matrix_.devices[column->second].name = words[1];
      else
        report_.remark(lines_.offset(),
                       "the name of {} is left out: it is longer "
                       "than {} characters or not of them",
                       column->first, kLongestName);
    }
  }

  Lines lines_;
  xml::Report& report_;
  Matrix matrix_;
  std::map<std::string, std::size_t, std::less<>> column_;
  std::vector<std::string Device::*> extras_;
};

}  // namespace

bool looksLikeMatrix(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] == '<' || text[first] == '{') return false;
  Lines lines(text);
  bool heading = false;
  while (lines.number() < kMostLinesBefore && lines.next()) {
    const Words words = lines.words();
    if (words.empty()) continue;
    const bool affinity = std::find(words.begin(), words.end(), "Affinity") != words.end();
    if ((heading && words[0] == "GPU0") || (isHeading(words) && affinity)) return true;
    heading = isHeading(words);
  }
  return false;
}

Matrix parseMatrix(std::string_view text, xml::Report& report) {
  return MatrixParser(text, report).parse();
}

}  // namespace lockstep::topology::smi
