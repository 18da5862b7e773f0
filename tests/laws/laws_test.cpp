// The laws of laws.hpp, held over this repository.
#include "laws/laws.hpp"

#include <cstdio>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace lockstep::laws {
namespace {

const std::vector<SourceFile>& repository() {
  static const std::vector<SourceFile> files = readTree(LOCKSTEP_SOURCE_DIR);
  return files;
}

void expectNone(const Offences& offences) {
  for (const Offence& offence : offences) ADD_FAILURE() << offence.print();
}

template <class Law>
void holdsOverEachFile(Law law) {
  ASSERT_GT(repository().size(), 20U) << "the sources were not found in " LOCKSTEP_SOURCE_DIR;
  for (const SourceFile& file : repository()) expectNone(law(file));
}

TEST(Laws, IncludesGoOneWay) {
  holdsOverEachFile(layering);
}
TEST(Laws, PublicHeadersNeedNothingElse) {
  holdsOverEachFile(publicIncludes);
}
TEST(Laws, OnlyProgramsParseCommandLines) {
  holdsOverEachFile(noCommandLine);
}
TEST(Laws, TheLibraryNeverExitsPrintsOrForks) {
  holdsOverEachFile(noSideEffects);
}
TEST(Laws, FilesAreShortAndWithoutTabs) {
  holdsOverEachFile(shape);
}
TEST(Laws, EachFolderHasAShortReadme) {
  expectNone(readmes(repository()));
}
TEST(Laws, EachVariableIsInTheTableOfSettings) {
  expectNone(settings(repository()));
}

std::string dynamicSymbolsOf(const std::filesystem::path& library) {
  const std::string command = "nm -D --defined-only '" + library.string() + "'";
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string text;
  char part[4096];
  while (const std::size_t n = std::fread(part, 1, sizeof part, pipe)) text.append(part, n);
  return ::pclose(pipe) == 0 ? text : std::string();
}

TEST(Laws, TheSharedLibraryExportsTheApiAndNothingElse) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers export symbols of their own";
#endif
  const std::filesystem::path library =
      std::filesystem::path(LOCKSTEP_BINARY_DIR) / "bin" / "liblockstep.so";
  if (!std::filesystem::exists(library)) GTEST_SKIP() << library << " is not built";
  const std::string symbols = dynamicSymbolsOf(library);
  ASSERT_NE(symbols.find("lockstep"), std::string::npos) << "nm found nothing in " << library;
  expectNone(exportedSymbols(symbols, apiNames(repository())));
}

}  // namespace
}  // namespace lockstep::laws
