#include "topology/probes/sysfs/sysfs.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>

#include <fcntl.h>

#include "base/fd.hpp"

namespace lockstep::topology::sysfs {
namespace {

constexpr std::size_t kMostBytes = 4096;
constexpr std::string_view kBlanks = " \t\r\n";

template <class Number>
std::optional<Number> parse(std::string_view text, int base) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  return error == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<std::string> text(const std::filesystem::path& attribute) {
  const Fd file(::open(attribute.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return std::nullopt;
  std::string bytes(kMostBytes, '\0');
  ssize_t size = 0;
  do {
    size = ::read(file.get(), bytes.data(), bytes.size());
  } while (size < 0 && errno == EINTR);
  if (size <= 0) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(size));
  const std::size_t first = bytes.find_first_not_of(kBlanks);
  if (first == std::string::npos) return std::nullopt;
  return bytes.substr(first, bytes.find_last_not_of(kBlanks) - first + 1);
}

std::optional<int> number(const std::filesystem::path& attribute) {
  const std::optional<std::string> value = text(attribute);
  return value ? parse<int>(*value, 10) : std::nullopt;
}

std::optional<std::uint32_t> hexadecimal(const std::filesystem::path& attribute) {
  const std::optional<std::string> value = text(attribute);
  if (!value || !value->starts_with("0x")) return std::nullopt;
  return parse<std::uint32_t>(std::string_view(*value).substr(2), 16);
}

std::vector<std::string> names(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error);
  for (; !error && at != std::filesystem::directory_iterator() && names.size() < kMostNames;
       at.increment(error))
    names.push_back(at->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<BusId> pciChain(const std::filesystem::path& device) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(device, error);
  std::vector<BusId> chain;
  bool ended = true;  // a component that is none came after the last bus id
  for (const std::filesystem::path& component : real) {
    const std::optional<BusId> id = parseBusId(component.string());
    if (id && ended) chain.clear();
    if (id) chain.push_back(*id);
    ended = !id;
  }
  return chain;
}

}  // namespace lockstep::topology::sysfs
