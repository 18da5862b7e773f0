#include "bench/text_table.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace lockstep::bench {
namespace {

constexpr std::string_view kGap = "  ";
constexpr std::string_view kGroupGap = " | ";
constexpr std::size_t kFrame = 4;  // "- name -"

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
  for (std::size_t c = 0; c < columns_.size();) {
    const Span group = groupFrom(c, widths);
    const std::size_t wanted = columns_[c].group.empty() ? 0 : columns_[c].group.size() + kFrame;
    if (group.width < wanted) widths[group.end - 1] += wanted - group.width;
    c = group.end;
  }
  return widths;
}

std::size_t TextTable::width() const {
  return groupLine(widths()).size();
}

TextTable::Span TextTable::groupFrom(std::size_t first,
                                     const std::vector<std::size_t>& widths) const {
  Span span{first + 1, widths[first]};
  for (; span.end < columns_.size() && columns_[span.end].group == columns_[first].group;
       ++span.end)
    span.width += kGap.size() + widths[span.end];
  return span;
}

std::string TextTable::groupLine(const std::vector<std::size_t>& widths) const {
  std::string line;
  for (std::size_t c = 0; c < columns_.size();) {
    const Span group = groupFrom(c, widths);
    if (c > 0) line += kGroupGap;
    line += columns_[c].group.empty() ? std::string(group.width, ' ')
                                      : centred(columns_[c].group, group.width);
    c = group.end;
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
