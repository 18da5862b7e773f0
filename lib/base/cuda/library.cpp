#include "base/cuda/library.hpp"

#include <cstdlib>

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/printable.hpp"

namespace lockstep::cuda {

namespace {

bool isThere(const std::string& file, std::string_view error) {
  return error != file + ": cannot open shared object file: No such file or directory";
}

}  // namespace

void Library::Close::operator()(void* library) const noexcept {
  dlclose(library);
}

Library::Library(const Search& search) {
  const char* named = std::getenv(search.variable);
  if (named != nullptr && *named != '\0') {
    if (open(named)) return;
    if (whyNot_.empty()) whyNot_ = fmt::format("{} is not there", printable(named));
    whyNot_ = fmt::format("{} ({} names it)", whyNot_, search.variable);
    return;
  }
  for (const std::string& file : search.files)
    if (open(file)) return;
  if (whyNot_.empty())
    whyNot_ =
        fmt::format("there is no {} ({} cannot be found); {}, or name the file in {}", search.what,
                    fmt::join(search.files, ", "), search.advice, search.variable);
}

bool Library::open(const std::string& file) {
  library_.reset(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (library_) {
    file_ = file;
    whyNot_.clear();
    return true;
  }
  const char* error = dlerror();
  const std::string_view message = error == nullptr ? "" : error;
  if (whyNot_.empty() && isThere(file, message))
    whyNot_ = fmt::format("{} cannot be loaded: {}", printable(file), printable(message));
  return false;
}

void* Library::find(const char* symbol) const noexcept {
  return library_ ? dlsym(library_.get(), symbol) : nullptr;
}

std::string Library::lacks(const char* symbol, int since) const {
  return fmt::format("{} has no {}, which came with CUDA {}; install a newer one", printable(file_),
                     symbol, versionText(since));
}

std::string versionText(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

}  // namespace lockstep::cuda
