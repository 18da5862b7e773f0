// SVG, element by element.
#pragma once

#include <string>
#include <string_view>

namespace lockstep::topology::svg {

enum class Anchor { start, middle };

struct Font {
  double size = 10;
  bool bold = false;
  std::string_view fill = "#222222";
};

/// How wide `text` is at most in the fonts that browsers have: letters are as wide as DejaVu Sans
/// has them, which is wide.
double textWidth(std::string_view text, const Font& font);
/// As much of `text` as is no wider than `width`, with an ellipsis where it is not all.
std::string fitted(std::string_view text, double width, const Font& font);

struct Stroke {
  std::string_view colour;
  double width = 1;
  double opacity = 1;
};

/// Texts are taken as they are: it escapes them. A title is what a browser shows when the mouse
/// points there.
class Canvas {
 public:
  void rectangle(double x, double y, double width, double height, std::string_view fill,
                 std::string_view stroke, std::string_view title = {}, double radius = 5);
  /// `path` is SVG's: "M 0 0 L 10 10".
  void line(std::string_view path, const Stroke& stroke, std::string_view title = {});
  /// `y` is the base line.
  void text(double x, double y, std::string_view text, const Font& font,
            Anchor anchor = Anchor::middle);
  /// With white behind it: on a line.
  void textOnLine(double x, double y, std::string_view text, const Font& font);
  /// The whole picture.
  std::string picture(double width, double height, std::string_view title) const;

 private:
  void close(std::string_view element, std::string_view title);

  std::string body_;
};

}  // namespace lockstep::topology::svg
