#include "topology/writers/svg/canvas.hpp"

#include <fmt/format.h>

#include "base/printable.hpp"

namespace lockstep::topology::svg {
namespace {

constexpr std::string_view kEllipsis = "\u2026";

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

/// Of the size of the font. Bytes of longer characters: the first counts for all.
double widthOf(unsigned char c) {
  if (c >= 0x80) return c >= 0xc0 ? 1.0 : 0;
  if (c >= 'A' && c <= 'Z') return c == 'W' || c == 'M' ? 0.99 : c == 'I' || c == 'J' ? 0.36 : 0.73;
  if (c == 'm' || c == 'w' || c == '@' || c == '%') return 0.98;
  if (c == 'i' || c == 'j' || c == 'l' || c == ' ' || c == '.' || c == ',' || c == ':' || c == '-')
    return 0.36;
  return 0.64;
}

bool continuesCharacter(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

}  // namespace

double textWidth(std::string_view text, const Font& font) {
  double width = 0;
  for (const char c : text) width += widthOf(static_cast<unsigned char>(c));
  return width * font.size * (font.bold ? 1.1 : 1.0);
}

std::string fitted(std::string_view text, double width, const Font& font) {
  std::string all = printable(text);
  if (textWidth(all, font) <= width) return all;
  while (!all.empty() && textWidth(all, font) + textWidth(kEllipsis, font) > width) {
    while (all.size() > 1 && continuesCharacter(all.back())) all.pop_back();
    all.pop_back();
  }
  return all + std::string(kEllipsis);
}

void Canvas::close(std::string_view element, std::string_view title) {
  if (title.empty())
    body_ += "/>\n";
  else
    body_ += fmt::format("><title>{}</title></{}>\n", escaped(title), element);
}

void Canvas::rectangle(double x, double y, double width, double height, std::string_view fill,
                       std::string_view stroke, std::string_view title, double radius) {
  body_ += fmt::format(
      R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="{:.0f}" fill="{}" stroke="{}")",
      x, y, width, height, radius, fill, stroke);
  close("rect", title);
}

void Canvas::line(std::string_view path, const Stroke& stroke, std::string_view title) {
  body_ += fmt::format(
      R"(<path d="{}" fill="none" stroke="{}" stroke-width="{:.1f}" stroke-opacity="{:.2f}")", path,
      stroke.colour, stroke.width, stroke.opacity);
  close("path", title);
}

void Canvas::text(double x, double y, std::string_view text, const Font& font, Anchor anchor) {
  if (text.empty()) return;
  body_ += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" font-size="{:g}"{}{} fill="{}">{}</text>)"
                       "\n",
                       x, y, font.size, font.bold ? R"( font-weight="bold")" : "",
                       anchor == Anchor::middle ? R"( text-anchor="middle")" : "", font.fill,
                       escaped(text));
}

void Canvas::textOnLine(double x, double y, std::string_view text, const Font& font) {
  if (text.empty()) return;
  const double width = textWidth(text, font) + 4;
  rectangle(x - width / 2, y - font.size * 0.85, width, font.size * 1.1, "#ffffff", "none", {}, 2);
  this->text(x, y, text, font);
}

std::string Canvas::picture(double width, double height, std::string_view title) const {
  std::string whole = fmt::format(
      R"(<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif">
<title>{2}</title>
<rect width="{0:.0f}" height="{1:.0f}" fill="#ffffff"/>
)",
      width, height, escaped(title));
  return whole + body_ + "</svg>\n";
}

}  // namespace lockstep::topology::svg
