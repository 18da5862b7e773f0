// A shared library that may or may not be there.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lockstep::cuda {

/// Opened by dlopen; closed at its end.
class Library {
 public:
  /// How a library is looked for, and what to tell who does not have it.
  struct Search {
    const char* variable;                ///< of the environment; the file it names is the only one
    std::span<const std::string> files;  ///< as dlopen takes them; the first that loads
    std::string_view what;               ///< "NVIDIA driver"
    std::string_view advice;             ///< "install the package .."
  };
  explicit Library(const Search& search);

  /// Empty where the library was opened.
  const std::string& whyNot() const noexcept { return whyNot_; }
  /// The file that was opened.
  const std::string& file() const noexcept { return file_; }

  /// The address of a symbol, nullptr where the library does not have it.
  void* find(const char* symbol) const noexcept;
  template <class Function>
  bool find(const char* symbol, Function*& function) const noexcept {
    function = reinterpret_cast<Function*>(find(symbol));
    return function != nullptr;
  }
  /// What to tell where `symbol` is not found, which CUDA `since` brought.
  std::string lacks(const char* symbol, int since) const;

 private:
  /// Whether it is open now. whyNot_ says of the first file that is there why it cannot be used.
  bool open(const std::string& file);

  struct Close {
    void operator()(void* library) const noexcept;
  };
  std::unique_ptr<void, Close> library_;
  std::string file_;
  std::string whyNot_;
};

/// "11.8" for 11080, as CUDA counts its versions.
std::string versionText(int version);

}  // namespace lockstep::cuda
