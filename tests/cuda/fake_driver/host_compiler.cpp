#include "cuda/fake_driver/host_compiler.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda/fake_driver/environment.hpp"

namespace lockstep::cuda::fake {
namespace {

namespace fs = std::filesystem;

void check(int error, const char* what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

/// Nobody else can read or write it.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / "lockstep-fake-nvrtc-XXXXXX") {
    std::string name = path_.string();
    check(::mkdtemp(name.data()) == nullptr ? errno : 0, "mkdtemp");
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out << text;
  check(out.flush() ? 0 : EIO, "write a source");
}

/// The environment, with the compiler's own temporary files in the folder.
std::vector<std::string> environmentFor(const fs::path& folder) {
  std::vector<std::string> all{"TMPDIR=" + folder.string()};
  for (char** entry = ::environ; *entry != nullptr; ++entry)
    if (!std::string_view(*entry).starts_with("TMPDIR=")) all.emplace_back(*entry);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

/// Whether the command ended well. What it says goes to the log.
bool run(std::vector<std::string> command, const fs::path& folder, const fs::path& log) {
  std::vector<std::string> environment = environmentFor(folder);
  posix_spawn_file_actions_t actions;
  check(::posix_spawn_file_actions_init(&actions), "posix_spawn_file_actions_init");
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, command[0].c_str(), &actions, nullptr,
                                   pointers(command).data(), pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  check(error, "start the compiler");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) check(errno == EINTR ? 0 : errno, "waitpid");
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string compiler() {
  return text("LOCKSTEP_FAKE_CXX", text("CXX", LOCKSTEP_FAKE_CXX_DEFAULT));
}

std::vector<std::string> commandFor(const std::string& source, const std::string& library,
                                    const fs::path& folder,
                                    const std::vector<std::string>& defines) {
  // No contraction: a GPU's code is compiled with --fmad=false. Hidden symbols are each module's
  // own; exported ones must not be made unique, or no module could be unloaded.
  std::istringstream flags(
      "-std=c++20 -DLOCKSTEP_HOST_MODULE -O1 -fPIC -shared -fvisibility=hidden -ffp-contract=off "
      "-Wl,-Bsymbolic " +
      text("LOCKSTEP_FAKE_CXXFLAGS", LOCKSTEP_FAKE_CXXFLAGS_DEFAULT));
  std::vector<std::string> command{compiler()};
  command.insert(command.end(), std::istream_iterator<std::string>(flags), {});
  for (const std::string& define : defines) command.push_back("-D" + define);
  command.insert(command.end(), {"-I", folder.string(), "-x", "c++", source, "-o", library});
  return command;
}

/// Without the folder's name before those of the sources.
std::string withoutFolder(std::string log, const fs::path& folder) {
  const std::string prefix = folder.string() + "/";
  for (std::size_t at; (at = log.find(prefix)) != std::string::npos;) log.erase(at, prefix.size());
  return log;
}

}  // namespace

Compiled compileForHost(const std::vector<SourceText>& texts,
                        const std::vector<std::string>& defines) {
  const Folder folder;
  for (const auto& [name, text] : texts) write(folder.path() / name, text);
  const fs::path library = folder.path() / "kernels.so";
  const fs::path log = folder.path() / "compiler.log";
  const bool good = run(commandFor((folder.path() / texts.front().name).string(), library.string(),
                                   folder.path(), defines),
                        folder.path(), log);
  return {good ? read(library) : "", withoutFolder(read(log), folder.path())};
}

}  // namespace lockstep::cuda::fake
