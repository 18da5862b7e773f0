// Laws about who includes whom.
#include <algorithm>
#include <map>
#include <optional>
#include <regex>
#include <set>

#include <fmt/format.h>

#include "laws/laws.hpp"

namespace lockstep::laws {

namespace {

struct Include {
  int line = 0;
  std::string target;
  bool quoted = false;
};

std::vector<Include> includesOf(const SourceFile& file) {
  static const std::regex directive(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  std::vector<Include> includes;
  const std::string code = withoutComments(file.text, Strings::keep);
  int line = 0;
  for (const std::string_view text : linesOf(code)) {
    ++line;
    if (text.find("include") == std::string_view::npos) continue;  // the regex is slow
    std::cmatch match;
    if (std::regex_search(text.data(), text.data() + text.size(), match, directive))
      includes.push_back({line, match[2], match[1] == "\""});
  }
  return includes;
}

/// The layers and, for each, those right below it. Programs (bench, tests, tools) are no layer.
const std::map<std::string, std::set<std::string>, std::less<>>& layersBelow() {
  static const std::map<std::string, std::set<std::string>, std::less<>> below{
      {"lockstep", {}},
      {"base", {"lockstep"}},
      {"topology", {"base"}},
      {"collectives", {"topology"}},
      {"cc_mode", {"collectives"}},
      {"bootstrap", {"base"}},
      {"transport", {"bootstrap"}},
      {"executor", {"cc_mode", "transport"}},
      {"communicator", {"executor"}},
      {"bench", {"base"}},  // owners and errors; what it measures it calls by lockstep/*.hpp
  };
  return below;
}

bool mayInclude(const std::string& from, const std::string& to) {
  if (from == to) return true;
  for (const std::string& below : layersBelow().at(from))
    if (mayInclude(below, to)) return true;
  return false;
}

/// The layer of a path: "lib/base/fd.hpp" and "base/fd.hpp" are both in base.
std::optional<std::string> layerOf(std::string_view path) {
  for (const std::string_view root : {"lib/include/", "lib/"})
    if (path.starts_with(root)) {
      path.remove_prefix(root.size());
      break;
    }
  std::string first(path.substr(0, path.find('/')));
  if (!layersBelow().contains(first)) return std::nullopt;
  return first;
}

/// Parts of bench that show the inside of the library, and so include it.
bool looksInside(std::string_view path) {
  return path.starts_with("bench/floors/") || path.starts_with("bench/rates.") ||
         path.starts_with("bench/tune_model.") || path.starts_with("bench/topo") ||
         path.starts_with("bench/keygen.") || path.starts_with("bench/launched.") ||
         path.starts_with("bench/gpu_traffic.") || path.starts_with("bench/gpu_seal");
}

bool isStandard(const Include& include) {
  return !include.quoted && include.target.find_first_of("/.") == std::string::npos;
}

}  // namespace

Offences layering(const SourceFile& file) {
  if (!isCode(file.path) || file.path.starts_with("tests/") || file.path.starts_with("tools/") ||
      looksInside(file.path))
    return {};
  const auto from = layerOf(file.path);
  if (!from)
    return {{file.path, 0, "is in no known layer; add its folder to tests/laws/includes.cpp"}};
  Offences offences;
  for (const Include& include : includesOf(file)) {
    const auto to = layerOf(include.target);
    if (!to && include.quoted)
      offences.push_back({file.path, include.line,
                          fmt::format("\"{}\": write the path from lib/ or the root of the "
                                      "repository, and <> for what is not ours",
                                      include.target)});
    if (to && !mayInclude(*from, *to))
      offences.push_back({file.path, include.line,
                          fmt::format("{} must not include {} ({})", *from, *to, include.target)});
  }
  return offences;
}

Offences publicIncludes(const SourceFile& file) {
  if (!file.path.starts_with("lib/include/")) return {};
  Offences offences;
  for (const Include& include : includesOf(file))
    if (!isStandard(include) && !include.target.starts_with("lockstep/"))
      offences.push_back(
          {file.path, include.line,
           fmt::format("a public header includes {}; users do not have it", include.target)});
  return offences;
}

Offences noCommandLine(const SourceFile& file) {
  for (const std::string_view program : {"bench/", "tests/", "tools/"})
    if (file.path.starts_with(program)) return {};
  if (!isCode(file.path)) return {};
  Offences offences;
  for (const Include& include : includesOf(file))
    if (include.target.starts_with("CLI/"))
      offences.push_back({file.path, include.line, "only programs parse command lines"});
  return offences;
}

}  // namespace lockstep::laws
