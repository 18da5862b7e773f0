// Numbers that all ranks of a run agree on, through the clear communicator.
#pragma once

#include <algorithm>
#include <vector>

#include <lockstep/communicator.hpp>

namespace lockstep::bench {

class Agreement {
 public:
  explicit Agreement(Communicator& communicator) : communicator_(communicator) {}

  void barrier() { communicator_.barrier(); }
  std::vector<double> max(std::vector<double> mine) {
    return reduce(std::move(mine), Reduction::max);
  }
  std::vector<double> sum(std::vector<double> mine) {
    return reduce(std::move(mine), Reduction::sum);
  }
  double max(double mine) { return max(std::vector{mine}).front(); }
  double sum(double mine) { return sum(std::vector{mine}).front(); }

 private:
  std::vector<double> reduce(std::vector<double> values, Reduction reduction) {
    communicator_.allReduce(values.data(), values.data(), values.size(), DataType::f64, reduction);
    return values;
  }
  Communicator& communicator_;
};

}  // namespace lockstep::bench
