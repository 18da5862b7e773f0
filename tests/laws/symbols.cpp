// The law about what leaves the shared library.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <regex>
#include <sstream>

#include <cxxabi.h>

#include "laws/laws.hpp"

namespace lockstep::laws {

namespace {

std::string demangled(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? text.get() : symbol;
}

/// The first name after "lockstep::" in a demangled symbol that is about one: "Communicator" for
/// "vtable for lockstep::Communicator". Empty for anything else.
std::string nameInLockstep(const std::string& symbol) {
  static const std::regex about(
      R"re(^(?:(?:vtable|typeinfo|typeinfo name|guard variable) for )?lockstep::(\w+))re");
  std::smatch match;
  return std::regex_search(symbol, match, about) ? match[1].str() : std::string();
}

/// std's templates, and the type information of types that have no name of ours (a pointer to a
/// function that returns size_t): the compiler makes them wherever they are used.
bool isWeakAndNotOurs(char kind, const std::string& symbol) {
  static const std::regex ofStd(
      R"re(^(?:(?:vtable|typeinfo|typeinfo name|guard variable|VTT) for )?(?:[\w:<>*&, ]+ )?(?:std|__gnu_cxx|fmt)::)re");
  const bool typeOfNone =
      symbol.starts_with("typeinfo ") && symbol.find("lockstep::") == std::string::npos;
  return std::string_view("WVu").find(kind) != std::string_view::npos &&
         (typeOfNone || std::regex_search(symbol, ofStd));
}

}  // namespace

std::vector<std::string> apiNames(std::span<const SourceFile> files) {
  // "class LOCKSTEP_API Name" or "LOCKSTEP_API type name(", at the start of a line.
  static const std::regex marked(
      R"re(\n\s*(?:(?:class|struct) LOCKSTEP_API (\w+)|LOCKSTEP_API [^;({]*?(\w+)\s*\())re");
  std::vector<std::string> names;
  for (const SourceFile& file : files) {
    if (!file.path.starts_with("lib/include/")) continue;
    const std::string code = withoutComments(file.text, Strings::blank);
    for (std::sregex_iterator it(code.begin(), code.end(), marked); it != std::sregex_iterator();
         ++it)
      names.push_back((*it)[1].matched ? (*it)[1] : (*it)[2]);
  }
  return names;
}

Offences exportedSymbols(std::string_view nm, std::span<const std::string> api) {
  Offences offences;
  for (const std::string_view line : linesOf(nm)) {
    std::istringstream in{std::string(line)};
    std::string address;
    std::string symbol;
    char kind = 0;
    if (!(in >> address >> kind >> symbol) || kind == 'A') continue;  // A: a version, not code
    const std::string text = demangled(symbol.substr(0, symbol.find('@')));
    const bool inApi = std::ranges::find(api, nameInLockstep(text)) != api.end();
    if (!inApi && !isWeakAndNotOurs(kind, text))
      offences.push_back({"liblockstep.so", 0, "exports " + text + " (" + symbol + ")"});
  }
  return offences;
}

}  // namespace lockstep::laws
