#include "topology/readers/xml/report.hpp"

#include <algorithm>

namespace lockstep::topology::xml {

int Report::line(std::size_t offset) const {
  if (offset == kWhole) return 0;
  const std::string_view before = text_.substr(0, offset);
  return 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
}

std::vector<Remark> Report::take() {
  if (made_ > kMostRemarks) {
    const std::size_t more = made_ - kMostRemarks + 1;
    remarks_.back() = {0, fmt::format("and {} remarks more", more)};
  }
  made_ = 0;
  return std::move(remarks_);
}

}  // namespace lockstep::topology::xml
