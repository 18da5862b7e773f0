#include <algorithm>

#include "topology/readers/hwloc/read.hpp"

namespace lockstep::topology {
namespace {

/// Past `end`, or past everything.
std::string_view after(std::string_view text, std::string_view end) {
  const std::size_t at = text.find(end);
  return at == std::string_view::npos ? std::string_view() : text.substr(at + end.size());
}

}  // namespace

bool isHwlocXml(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (text.starts_with("<!--"))
      text = after(text, "-->");
    else if (text.starts_with("<?"))
      text = after(text, "?>");
    else if (text.starts_with("<!"))
      text = after(text, ">");
    else
      break;
  }
  constexpr std::string_view kOpening = "<topology";
  if (!text.starts_with(kOpening)) return false;
  text.remove_prefix(kOpening.size());
  return !text.empty() &&
         std::string_view(" \t\r\n/>").find(text.front()) != std::string_view::npos;
}

}  // namespace lockstep::topology
