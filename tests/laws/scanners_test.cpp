// The laws can fail: each finds the offences planted here, at their lines, and spares what is
// legal.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "laws/laws.hpp"

namespace lockstep::laws {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::vector<int> linesOfOffences(const Offences& offences) {
  std::vector<int> lines;
  for (const Offence& offence : offences) lines.push_back(offence.line);
  return lines;
}

std::string repeated(const char* text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Blanking, RemovesCommentsAndKeepsLines) {
  EXPECT_EQ(withoutComments("a // b\n/* c\nd */ e", Strings::keep), "a     \n    \n     e");
}

TEST(Blanking, LeavesQuotesInStringsAlone) {
  EXPECT_EQ(withoutComments(R"("//" "\"/*" 'x' // c)", Strings::keep), R"("//" "\"/*" 'x'     )");
}

TEST(Blanking, EmptiesStringsWhenAsked) {
  EXPECT_EQ(withoutComments(R"x(f("exit(1)", '"') + g)x", Strings::blank),
            R"x(f("       ", ' ') + g)x");
}

TEST(Blanking, KnowsRawStringsAndDigitSeparators) {
  EXPECT_EQ(withoutComments("R\"x(a \" // b)x\" c", Strings::keep), "R\"x(a \" // b)x\" c");
  EXPECT_EQ(withoutComments("1'000'000 // n", Strings::blank), "1'000'000     ");
}

TEST(Blanking, SurvivesTextThatEndsEarly) {
  for (const char* text : {"\"abc", "'", "/* x", "R\"(abc", "R\"", "\"\\", "//"})
    EXPECT_EQ(withoutComments(text, Strings::keep).size(), std::string(text).size()) << text;
}

TEST(Layering, FindsEachWrongDirection) {
  const std::vector<std::pair<const char*, const char*>> wrong{
      {"lib/base/a.cpp", "topology/machine.hpp"},
      {"topology/a.cpp", "collectives/schedule.hpp"},
      {"collectives/a.hpp", "cc_mode/secure_pass.hpp"},
      {"cc_mode/keys/a.cpp", "executor/host/run.hpp"},
      {"cc_mode/a.cpp", "transport/shm/fabric.hpp"},
      {"lib/bootstrap/a.cpp", "transport/shm/fabric.hpp"},
      {"lib/bootstrap/a.cpp", "topology/machine.hpp"},
      {"lib/transport/shm/a.cpp", "collectives/schedule.hpp"},
      {"lib/transport/a.cpp", "lib/executor/host/run.hpp"},
      {"lib/executor/a.cpp", "communicator/impl.hpp"},
      {"lib/communicator/a.cpp", "bench/main.hpp"},
      {"lib/include/lockstep/a.hpp", "base/fail.hpp"},
      {"bench/main.cpp", "executor/host/reduce.hpp"},
      {"bench/main.cpp", "topology/machine.hpp"},
  };
  for (const auto& [path, target] : wrong) {
    SCOPED_TRACE(std::string(path) + " includes " + target);
    const std::string text = std::string("#pragma once\n#include \"") + target + "\"\n";
    EXPECT_THAT(linesOfOffences(layering({path, text})), ElementsAre(2));
    const std::string angled = std::string("\n\n#  include <") + target + ">\n";
    EXPECT_THAT(linesOfOffences(layering({path, angled})), ElementsAre(3));
  }
}

TEST(Layering, AllowsTheRightDirection) {
  const std::vector<std::pair<const char*, const char*>> right{
      {"lib/base/a.cpp", "base/fd.hpp"},
      {"lib/base/a.cpp", "lockstep/error.hpp"},
      {"cc_mode/a.cpp", "base/secret.hpp"},
      {"lib/executor/a.cpp", "bootstrap/peers.hpp"},
      {"lib/communicator/a.cpp", "topology/machine.hpp"},
      {"bench/main.cpp", "bench/report.hpp"},
      {"bench/main.cpp", "base/fd.hpp"},
      {"bench/main.cpp", "lockstep/lockstep.hpp"},
      {"bench/floors/sealed.cpp", "cc_mode/aead/aead.hpp"},
      {"bench/rates.cpp", "executor/host/reduce.hpp"},
      {"tests/base/a_test.cpp", "communicator/impl.hpp"},
  };
  for (const auto& [path, target] : right)
    EXPECT_THAT(layering({path, std::string("#include \"") + target + "\"\n"}), IsEmpty())
        << path << " includes " << target;
  EXPECT_THAT(layering({"lib/base/a.cpp", "// #include \"bench/main.hpp\"\n#include <vector>\n"}),
              IsEmpty());
}

TEST(Layering, FindsUnknownFoldersAndRelativePaths) {
  EXPECT_THAT(layering({"lib/misc/a.cpp", ""}), ElementsAre(testing::_));
  EXPECT_THAT(linesOfOffences(layering({"lib/base/a.cpp", "#include \"fd.hpp\"\n"})),
              ElementsAre(1));
}

TEST(PublicIncludes, FindsWhatUsersDoNotHave) {
  const SourceFile file{"lib/include/lockstep/a.hpp",
                        "#include <cstddef>\n#include <fmt/format.h>\n#include <unistd.h>\n"
                        "#include <lockstep/types.hpp>\n#include \"base/fd.hpp\"\n"};
  EXPECT_THAT(linesOfOffences(publicIncludes(file)), ElementsAre(2, 3, 5));
  EXPECT_THAT(publicIncludes({"lib/base/a.hpp", file.text}), IsEmpty());
}

TEST(NoCommandLine, FindsCli11OutsidePrograms) {
  const std::string text = "\n#include <CLI/CLI.hpp>\n";
  EXPECT_THAT(linesOfOffences(noCommandLine({"lib/communicator/a.cpp", text})), ElementsAre(2));
  EXPECT_THAT(linesOfOffences(noCommandLine({"cc_mode/a.cpp", text})), ElementsAre(2));
  EXPECT_THAT(noCommandLine({"bench/main.cpp", text}), IsEmpty());
}

TEST(NoSideEffects, FindsEachBannedCall) {
  for (const char* code : {"exit(1);",
                           "  std::exit(1);",
                           "::_exit(2);",
                           "if (x) exit (0);",
                           "std::abort();",
                           "  abort();",
                           "::abort();",
                           "std::terminate();",
                           "printf(\"x\");",
                           "std::printf(\"x\");",
                           "fprintf(stderr, \"x\");",
                           "std::cout << x;",
                           "std::cerr<<x;",
                           "puts(\"x\");",
                           "perror(\"x\");",
                           "fmt::print(\"x\");",
                           "const pid_t p = fork();",
                           "::fork();",
                           "vfork();",
                           "quick_exit(0);"})
    EXPECT_THAT(linesOfOffences(noSideEffects({"lib/base/a.cpp", std::string("\n") + code})),
                ElementsAre(2))
        << code;
}

TEST(NoSideEffects, SparesMembersTextAndPrograms) {
  for (const char* code :
       {"void abort(std::string_view reason) noexcept;", "impl_->abort(reason);", "c.abort();",
        "this->abort();", "void Communicator::abort(std::string_view reason) noexcept {",
        "std::snprintf(b, n, \"x\");", "// exit(1)", "fail(code, \"call exit(1)\");", "onExit(1);",
        "schedule::fork(x);", "printer(x);"})
    EXPECT_THAT(noSideEffects({"lib/base/a.cpp", code}), IsEmpty()) << code;
  EXPECT_THAT(noSideEffects({"bench/main.cpp", "printf(\"x\"); fork();"}), IsEmpty());
}

TEST(Shape, FindsTabsDosLineBreaksAndLongFiles) {
  EXPECT_THAT(linesOfOffences(shape({"a.cpp", "x\n\ty\nz\r\n"})), ElementsAre(2, 3));
  EXPECT_THAT(shape({"a.cpp", repeated("x\n", 600)}), IsEmpty());
  EXPECT_THAT(linesOfOffences(shape({"a.cpp", repeated("x\n", 601)})), ElementsAre(0));
}

TEST(Readmes, FindsMissingAndLongOnes) {
  const std::vector<SourceFile> files{{"README.md", repeated("x\n", 200)},
                                      {"CMakeLists.txt", ""},
                                      {"bench/main.cpp", ""},
                                      {"lib/README.md", "x\n"},
                                      {"lib/base/fd.hpp", ""},
                                      {"lib/include/lockstep/a.hpp", ""},
                                      {"tools/README.md", repeated("x\n", 61)}};
  std::vector<std::string> paths;
  for (const Offence& offence : readmes(files)) paths.push_back(offence.path);
  EXPECT_THAT(paths,
              UnorderedElementsAre("bench/README.md", "lib/base/README.md", "tools/README.md"));
}

TEST(Settings, FindsUndocumentedAndUnusedVariables) {
  const SourceFile table{
      "lib/communicator/settings.cpp",
      "Setting{\"LOCKSTEP_A\", \"text\"},\nSetting{\"LOCKSTEP_OLD\", \"text\"},\n"
      "Setting{\"LOCKSTEP_HERE\", \"text\"}};\nread(\"LOCKSTEP_HERE\");\n"};
  const SourceFile user{"cc_mode/a.cpp",
                        "// getenv(\"LOCKSTEP_C\")\nstd::getenv(\"LOCKSTEP_A\");\n"
                        "readNumber(\"LOCKSTEP_B2\");\nfail(\"set LOCKSTEP_D to 1\");\n"};
  const SourceFile test{"tests/a_test.cpp", "setenv(\"LOCKSTEP_E\", \"1\", 1);\n"};
  std::vector<std::string> found;
  const std::vector<SourceFile> files{table, user, test};
  for (const Offence& offence : settings(files)) found.push_back(offence.print());
  EXPECT_THAT(found, UnorderedElementsAre(HasSubstr("cc_mode/a.cpp:3: LOCKSTEP_B2"),
                                          HasSubstr("settings.cpp:2: LOCKSTEP_OLD")));
}

TEST(Symbols, ReadsTheApiFromItsHeaders) {
  const std::vector<SourceFile> files{
      {"lib/include/lockstep/a.hpp",
       "#define LOCKSTEP_API __attribute__((visibility(\"default\")))\n"
       "class LOCKSTEP_API Communicator {\n};\nclass LOCKSTEP_API Error : public E {\n};\n"
       "LOCKSTEP_API std::span<const Setting> settings();\nclass Hidden {};\n"
       "// class LOCKSTEP_API Gone {};\n"},
      {"lib/base/a.hpp", "class LOCKSTEP_API Misplaced {};"}};
  EXPECT_THAT(apiNames(files), UnorderedElementsAre("Communicator", "Error", "settings"));
}

TEST(Symbols, FindsWhatLeaksOut) {
  const std::vector<std::string> api{"Communicator", "version"};
  const char* const legal =
      "0000000000001000 T "
      "_ZN8lockstep12Communicator5abortESt17basic_string_viewIcSt11char_traitsIcEE\n"
      "0000000000001010 T _ZN8lockstep7versionEv\n"
      "0000000000001020 V _ZTIN8lockstep12CommunicatorE\n"
      "0000000000001028 V _ZTIPFmvE\n"
      "0000000000001030 W _ZNSt6vectorIiSaIiEE17_M_realloc_insertIJiEEEvN9__gnu_cxx17__normal_"
      "iteratorIPiS1_EEDpOT_\n";
  EXPECT_THAT(exportedSymbols(legal, api), IsEmpty());
  for (const char* leak :
       {"0000000000001000 T ncclAllReduce", "0000000000001000 T _ZN8lockstep4wipeEPvm",
        "0000000000001000 W _ZN8lockstep8schedule8ScheduleD1Ev",
        "0000000000001000 T _ZNSt6vectorIiSaIiEE4leakEv", "0000000000001000 B counter",
        "0000000000001000 V _ZTIN8lockstep8schedule8ScheduleE", "0000000000001000 T main"})
    EXPECT_EQ(exportedSymbols(leak, api).size(), 1U) << leak;
}

TEST(ReadTree, SkipsBuildFoldersAndOtherFiles) {
  namespace fs = std::filesystem;
  const fs::path root = fs::temp_directory_path() / ("lockstep_laws_" + std::to_string(::getpid()));
  for (const char* path : {"lib/a.cpp", "build/b.cpp", ".git/c.cpp", "lib/d.bin", "tools/run"}) {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << path;
  }
  std::vector<std::string> found;
  for (const SourceFile& file : readTree(root)) found.push_back(file.path + "=" + file.text);
  fs::remove_all(root);
  EXPECT_THAT(found, ElementsAre("lib/a.cpp=lib/a.cpp", "tools/run=tools/run"));
}

}  // namespace
}  // namespace lockstep::laws
