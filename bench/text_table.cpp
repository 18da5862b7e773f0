#include "bench/text_table.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace lockstep::bench {
namespace {

constexpr std::string_view kGap = "  ";
constexpr std::string_view kGroupGap = " | ";

std::string centred(const std::string& text, std::size_t width) {
  return fmt::format("{:-^{}}", text.empty() ? text : ' ' + text + ' ', width);
}

std::string trimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

}  // namespace

void TextTable::addColumn(std::string group, std::string heading, std::string unit) {
  columns_.push_back({std::move(group), std::move(heading), std::move(unit)});
}

void TextTable::addRow(std::vector<std::string> cells) {
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> TextTable::widths() const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t width = std::max(columns_[c].heading.size(), columns_[c].unit.size());
    for (const auto& row : rows_) width = std::max(width, row[c].size());
    widths.push_back(width);
  }
  return widths;
}

std::string TextTable::groupLine(const std::vector<std::size_t>& widths) const {
  std::string line;
  for (std::size_t c = 0; c < columns_.size();) {
    std::size_t end = c + 1, width = widths[c];
    for (; end < columns_.size() && columns_[end].group == columns_[c].group; ++end)
      width += kGap.size() + widths[end];
    if (c > 0) line += kGroupGap;
    line += columns_[c].group.empty() ? std::string(width, ' ') : centred(columns_[c].group, width);
    c = end;
  }
  return line;
}

std::string TextTable::text() const {
  const std::vector<std::size_t> width = widths();
  const auto line = [&](auto cell) {
    std::string text;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (c > 0) text += columns_[c].group == columns_[c - 1].group ? kGap : kGroupGap;
      text += fmt::format("{:>{}}", cell(c), width[c]);
    }
    return trimmed(std::move(text));
  };
  std::string text = trimmed(groupLine(width));
  text += line([&](std::size_t c) { return columns_[c].heading; });
  text += line([&](std::size_t c) { return columns_[c].unit; });
  for (const auto& row : rows_) text += line([&](std::size_t c) { return row[c]; });
  return text;
}

}  // namespace lockstep::bench
