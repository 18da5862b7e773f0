// A table of text: right-aligned columns under headings, some of them in named groups.
#pragma once

#include <string>
#include <vector>

namespace lockstep::bench {

class TextTable {
 public:
  /// `group`: a heading over this and its neighbours of the same group; empty: none. `unit` is
  /// printed under the heading.
  void addColumn(std::string group, std::string heading, std::string unit = {});
  /// As many cells as columns.
  void addRow(std::vector<std::string> cells);
  /// Of the longest line.
  std::size_t width() const;
  /// Lines, each ended; headings first.
  std::string text() const;

 private:
  struct Column {
    std::string group, heading, unit;
  };
  /// Neighbouring columns of one group.
  struct Span {
    std::size_t end, width;  ///< the column after it; its characters
  };
  Span groupFrom(std::size_t first, const std::vector<std::size_t>& widths) const;
  std::vector<std::size_t> widths() const;
  std::string groupLine(const std::vector<std::size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace lockstep::bench
