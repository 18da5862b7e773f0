// Lists of threads as the kernel's masks.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lockstep::topology::smi {

/// The number that `text` begins with, taken off it.
std::optional<int> takeNumber(std::string_view& text);
/// "0-3,8" as "0000010f". Empty where `list` is no such list, or has threads from 16384 on.
std::string threadMask(std::string_view list);

}  // namespace lockstep::topology::smi
