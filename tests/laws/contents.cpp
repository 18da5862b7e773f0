// Laws about what files contain.
#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include <fmt/format.h>

#include "laws/laws.hpp"

namespace lockstep::laws {

namespace {

constexpr std::size_t kMostLines = 600;
constexpr std::size_t kMostReadmeLines = 60;

bool isLibrary(std::string_view path) {
  for (const std::string_view folder : {"lib/", "topology/", "collectives/", "cc_mode/"})
    if (path.starts_with(folder)) return isCode(path);
  return false;
}

struct Ban {
  std::vector<std::string_view> words;  ///< one of them is in every match; finding it is cheap
  std::regex pattern;
  const char* why;
};

constexpr const char* kEnds = "the library never ends the process; throw with fail()";
constexpr const char* kPrints = "the library never prints; throw, or return text";

/// Members may bear these names (Communicator::abort), so a call counts when nothing that makes it
/// a member stands before it: an object, a class, or the type of a declaration. A member without
/// arguments is called with this->.
const std::vector<Ban>& bans() {
  static const std::vector<Ban> all{
      {{"xit"},
       std::regex(R"re((^|[^\w:>.])(std\s*::|::)?\s*(_?exit|quick_exit|_Exit)\s*\()re"),
       kEnds},
      {{"abort", "terminate"},
       std::regex(R"re((^|[^\w:>.])(std\s*::|::)\s*(abort|terminate)\s*\()re"),
       kEnds},
      {{"abort", "terminate"}, std::regex(R"re(^\s*(abort|terminate)\s*\(\s*\)\s*;)re"), kEnds},
      {{"printf", "put", "perror"},
       std::regex(R"re((^|[^\w:>.])(std\s*::|::)?\s*(v?f?printf|f?puts|putchar|perror)\s*\()re"),
       kPrints},
      {{"cout", "cerr", "clog"}, std::regex(R"re(\bstd\s*::\s*w?(cout|cerr|clog)\b)re"), kPrints},
      {{"print"}, std::regex(R"re(\bfmt\s*::\s*print(ln)?\s*\()re"), kPrints},
      {{"fork"},
       std::regex(R"re((^|[^\w:>.])(std\s*::|::)?\s*v?fork\s*\()re"),
       "the library never forks; programs do"},
  };
  return all;
}

bool breaks(const Ban& ban, std::string_view line) {
  return std::ranges::any_of(
             ban.words, [&](auto word) { return line.find(word) != std::string_view::npos; }) &&
         std::regex_search(line.data(), line.data() + line.size(), ban.pattern);
}

/// A string literal "LOCKSTEP_…" in code. An entry of the table is one that opens a brace:
/// Setting{"LOCKSTEP_…", …}.
struct Variable {
  std::string name;
  int line = 0;
  bool opensBrace = false;
};

std::vector<Variable> variablesIn(const SourceFile& file) {
  static const std::regex literal(R"re((\{\s*)?"(LOCKSTEP_[A-Z0-9_]+)")re");
  std::vector<Variable> variables;
  const std::string code = withoutComments(file.text, Strings::keep);
  int line = 0;
  for (const std::string_view text : linesOf(code)) {
    ++line;
    if (text.find("\"LOCKSTEP_") == std::string_view::npos) continue;
    using Iterator = std::regex_iterator<const char*>;
    for (Iterator it(text.data(), text.data() + text.size(), literal); it != Iterator(); ++it)
      variables.push_back({(*it)[2], line, (*it)[1].matched});
  }
  return variables;
}

bool isSettingsTable(std::string_view path) {
  return path.ends_with("/settings.cpp");
}

}  // namespace

Offences noSideEffects(const SourceFile& file) {
  if (!isLibrary(file.path)) return {};
  Offences offences;
  const std::string code = withoutComments(file.text, Strings::blank);
  int line = 0;
  for (const std::string_view text : linesOf(code)) {
    ++line;
    for (const Ban& ban : bans())
      if (breaks(ban, text)) offences.push_back({file.path, line, ban.why});
  }
  return offences;
}

Offences shape(const SourceFile& file) {
  Offences offences;
  const auto lines = linesOf(file.text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const int number = static_cast<int>(i) + 1;
    if (lines[i].find('\t') != std::string_view::npos)
      offences.push_back({file.path, number, "a tab; indent with blanks"});
    if (lines[i].ends_with('\r')) offences.push_back({file.path, number, "a DOS line break"});
  }
  if (lines.size() > kMostLines)
    offences.push_back({file.path, 0,
                        fmt::format("{} lines; split it: one idea per file, at most {} lines",
                                    lines.size(), kMostLines)});
  return offences;
}

Offences readmes(std::span<const SourceFile> files) {
  std::set<std::string> folders{""};
  std::map<std::string, std::size_t> lines;  // of the README of each folder
  for (const SourceFile& file : files) {
    const auto first = file.path.find('/');
    if (first != std::string::npos) folders.insert(file.path.substr(0, first + 1));
    const auto second = file.path.find('/', first + 1);
    if (file.path.starts_with("lib/") && !file.path.starts_with("lib/include/") &&
        second != std::string::npos)
      folders.insert(file.path.substr(0, second + 1));
    if (file.path.ends_with("README.md"))
      lines[file.path.substr(0, file.path.size() - 9)] = linesOf(file.text).size();
  }
  Offences offences;
  for (const std::string& folder : folders)
    if (!lines.contains(folder)) offences.push_back({folder + "README.md", 0, "is missing"});
  for (const auto& [folder, count] : lines)
    if (!folder.empty() && count > kMostReadmeLines)
      offences.push_back(
          {folder + "README.md", 0, fmt::format("{} lines; at most {}", count, kMostReadmeLines)});
  return offences;
}

Offences settings(std::span<const SourceFile> files) {
  std::map<std::string, Offence> documented;
  std::map<std::string, Offence> used;
  for (const SourceFile& file : files) {
    const bool program = file.path.starts_with("bench/") || file.path.starts_with("tools/");
    if (!isCode(file.path) || !(program || isLibrary(file.path))) continue;
    for (const Variable& v : variablesIn(file))
      (v.opensBrace && isSettingsTable(file.path) ? documented : used)
          .emplace(v.name, Offence{file.path, v.line, v.name});
  }
  Offences offences;
  for (const auto& [name, where] : used)
    if (!documented.contains(name))
      offences.push_back({where.path, where.line, name + " is not in the table of settings.cpp"});
  for (const auto& [name, where] : documented)
    if (!used.contains(name))
      offences.push_back({where.path, where.line, name + " is in the table, but nothing reads it"});
  return offences;
}

}  // namespace lockstep::laws
