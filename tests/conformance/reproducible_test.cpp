// A reproducible communicator gives the same bits whatever the algorithm, protocol, mode, tile
// size, memory, split into calls and kind of ranks; on values whose sums depend on the order.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/reference.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kCount = 301;  ///< elements of a block
constexpr std::array kFloats{DataType::f16, DataType::bf16,   DataType::f32,
                             DataType::f64, DataType::f8e4m3, DataType::f8e5m2};
constexpr std::array kReductionsTested{Reduction::sum, Reduction::avg, Reduction::prod,
                                       Reduction::max};

/// Numbers of many magnitudes and both signs, and now and then an infinity or one of several NaNs.
Bytes rough(DataType type, std::size_t count, int rank) {
  std::mt19937_64 random(static_cast<std::uint64_t>(rank) * 16 + static_cast<std::uint64_t>(type));
  const int reach = sizeOf(type) == 1       ? 5
                    : type == DataType::f16 ? 6
                    : type == DataType::f64 ? 30
                                            : 12;
  const std::size_t size = sizeOf(type);
  Bytes bytes(count * size);
  for (std::size_t i = 0; i < count; ++i) {
    const double fraction = 1 + static_cast<double>(random() >> 11) * 0x1p-53;
    const auto exponent = static_cast<int>(random() % static_cast<unsigned>(2 * reach)) - reach;
    double value = std::ldexp(random() % 2 == 0 ? fraction : -fraction, exponent);
    if (i % 53 == 7) value = rank % 2 == 0 ? HUGE_VAL : -HUGE_VAL;
    if (i % 47 == 5) value = std::copysign(std::numeric_limits<double>::quiet_NaN(), value);
    storeElement(type, value, bytes.data() + i * size);
    if (std::isnan(value))  // a payload of its own
      bytes[i * size] |= static_cast<std::byte>(rank + 1);
  }
  return bytes;
}

/// What every rank brings, and what its reduction in rank order is.
struct Problem {
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  std::vector<Bytes> inputs;  ///< by rank, a block for each rank
  Bytes expected;
};

Problem problemOf(DataType type, Reduction reduction, int worldSize) {
  Problem problem{type, reduction, {}, {}};
  const std::size_t count = kCount * static_cast<std::size_t>(worldSize);
  std::vector<const void*> sources;
  for (int rank = 0; rank < worldSize; ++rank) problem.inputs.push_back(rough(type, count, rank));
  for (const Bytes& input : problem.inputs) sources.push_back(input.data());
  problem.expected.resize(count * sizeOf(type));
  foldExactly(type, reduction, sources, count, reduction == Reduction::avg ? worldSize : 1,
              problem.expected.data());
  return problem;
}

std::vector<Problem> problemsOf(int worldSize) {
  std::vector<Problem> problems;
  for (const DataType type : kFloats)
    for (const Reduction reduction : kReductionsTested)
      problems.push_back(problemOf(type, reduction, worldSize));
  return problems;
}

/// What a tuning file asks for.
struct Way {
  std::string allReduce, reduceScatter, reduce, protocol;
  std::size_t tileBytes = 65536;
  int depth = 1;

  std::string name() const {
    return fmt::format("{}, {}, {}, protocol {}, {} tiles of {} bytes", allReduce, reduceScatter,
                       reduce, protocol, depth, tileBytes);
  }
};

std::vector<Way> reproducibleWays(Mode mode) {
  std::vector<Way> ways;
  for (const char* shot : {"one_shot", "two_shot"}) {
    for (const char* protocol : {"ll", "simple"})
      for (const std::size_t tile : {256, 1000, 32768})
        ways.push_back({shot, "direct", "direct", protocol, tile, tile == 1000 ? 3 : 1});
    if (!isSealed(mode)) ways.push_back({shot, "direct", "direct", "zero_copy"});
  }
  return ways;
}

/// A tuning file, while this lives.
class TuningFile {
 public:
  explicit TuningFile(const Way& way)
      : path_(std::filesystem::temp_directory_path() /
              fmt::format("lockstep-reproducible-{}.json", ::getpid())) {
    std::ofstream file(path_);
    const auto rule = [&](const char* op, const std::string& algorithm, const char* end) {
      const char* modes = way.protocol == "zero_copy"
                              ? R"(["p2p", "multicast"])"
                              : R"(["p2p", "multicast", "cc", "cc-multicast", "cc-masked"])";
      file << fmt::format(
          R"({{"op": "{}", "modes": {}, "algorithm": "{}", "protocol": "{}", "tile_bytes": {},
              "depth": {}}}{})",
          op, modes, algorithm, way.protocol, way.tileBytes, way.depth, end);
    };
    file << R"({"version": 1, "rules": [)";
    rule("allreduce", way.allReduce, ",");
    rule("reducescatter", way.reduceScatter, ",");
    rule("reduce", way.reduce, "]}");
  }
  ~TuningFile() { std::filesystem::remove(path_); }
  TuningFile(const TuningFile&) = delete;
  TuningFile& operator=(const TuningFile&) = delete;
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A rank, with memory of both kinds for a problem's input and output.
class Solver {
 public:
  Solver(Communicator& communicator, std::size_t mostBytes)
      : communicator_(communicator),
        registered_{communicator.alloc(mostBytes), communicator.alloc(mostBytes)},
        ordinary_{Bytes(mostBytes), Bytes(mostBytes)} {}

  /// `turn` says in which memory, whether in place, and in how many calls.
  Bytes allReduce(const Problem& problem, std::size_t turn) {
    place(problem, turn);
    const std::size_t size = sizeOf(problem.type), count = problem.expected.size() / size;
    const std::size_t pieces = 1 + turn % 3;
    for (std::size_t k = 0, from = 0; k < pieces; ++k) {
      const std::size_t to = k + 1 == pieces ? count : from + count * (k + 1) / 7;
      communicator_.allReduce(in_ + from * size, out_ + from * size, to - from, problem.type,
                              problem.reduction);
      from = to;
    }
    return {out_, out_ + problem.expected.size()};
  }

  Bytes reduceScatter(const Problem& problem, std::size_t turn) {
    place(problem, turn);
    const std::size_t block = kCount * sizeOf(problem.type);
    std::byte* out = in_ == out_ ? in_ + block * rank() : out_;
    communicator_.reduceScatter(in_, out, kCount, problem.type, problem.reduction);
    return {out, out + block};
  }

  /// Of the root; of the others what was there.
  Bytes reduce(const Problem& problem, std::size_t turn, int root) {
    place(problem, turn);
    communicator_.reduce(in_, out_, problem.expected.size() / sizeOf(problem.type), problem.type,
                         problem.reduction, root);
    return {out_, out_ + problem.expected.size()};
  }

  std::size_t rank() const { return static_cast<std::size_t>(communicator_.rank()); }

 private:
  void place(const Problem& problem, std::size_t turn) {
    const auto memory = [&](int which) {
      return turn % 2 == 0 ? static_cast<std::byte*>(registered_[which].data())
                           : ordinary_[which].data();
    };
    in_ = memory(0);
    out_ = turn / 2 % 2 == 0 ? in_ : memory(1);
    std::copy(problem.inputs[rank()].begin(), problem.inputs[rank()].end(), in_);
  }

  Communicator& communicator_;
  Buffer registered_[2];
  Bytes ordinary_[2];
  std::byte *in_ = nullptr, *out_ = nullptr;
};

Bytes blockOf(const Problem& problem, std::size_t block) {
  const std::size_t bytes = kCount * sizeOf(problem.type);
  const std::byte* begin = problem.expected.data() + block * bytes;
  return {begin, begin + bytes};
}

/// A rank solves all problems; each in other memory, and cut into other calls.
void solveAll(Communicator& communicator, const std::vector<Problem>& problems) {
  std::size_t most = 0;
  for (const Problem& problem : problems) most = std::max(most, problem.expected.size());
  Solver solver(communicator, most);
  std::size_t turn = 0;
  for (const Problem& problem : problems) {
    const auto demand = [&](const Bytes& got, const Bytes& want, const char* what) {
      require(got == want, fmt::format("{} of {}, {}, turn {}: other bits", what,
                                       name(problem.type), name(problem.reduction), turn));
    };
    const int root = static_cast<int>(turn) % communicator.worldSize();
    demand(solver.allReduce(problem, turn), problem.expected, "allreduce");
    demand(solver.reduceScatter(problem, turn), blockOf(problem, solver.rank()), "reducescatter");
    const Bytes reduced = solver.reduce(problem, turn, root);
    if (communicator.rank() == root) demand(reduced, problem.expected, "reduce");
    ++turn;
  }
}

void solveEveryWay(Kind kind, int worldSize) {
  const std::vector<Problem> problems = problemsOf(worldSize);
  int number = 0;
  for (std::size_t m = 0; m < kModes; ++m)
    for (const Way& way : reproducibleWays(static_cast<Mode>(m))) {
      if (++number % 3 != 0 && worldSize > 4) continue;  // many more ranks than cores: some of them
      const TuningFile file(way);
      Options options = optionsOf(static_cast<Mode>(m));
      options.reproducible = true;
      options.tuningFile = file.path();
      options.crossMemoryAttach = number % 2 == 0;
      const auto outcomes =
          runRanks(kind, worldSize, options, [&](Communicator& communicator, int) {
            require(communicator.plan(Collective::reduce, kCount, DataType::f32, true).protocol ==
                        way.protocol,
                    "the tuning file was not followed");
            solveAll(communicator, problems);
          });
      EXPECT_EQ(failures(outcomes), "") << fmt::format("{} ranks as {}, mode {}, {}", worldSize,
                                                       name(kind), name(options.mode), way.name());
    }
}

TEST(Reproducible, SameBitsEveryWayAsThreads) {
  for (const int worldSize : {2, 3, 4, 5, 8}) solveEveryWay(Kind::threads, worldSize);
}

TEST(Reproducible, SameBitsEveryWayAsProcesses) {
  solveEveryWay(Kind::processes, 3);
}

/// What is forced by name and not by a tuning file.
TEST(Reproducible, SameBitsWhateverIsForced) {
  const std::vector<Problem> problems = problemsOf(4);
  for (const char* algorithm : {"", "one_shot", "two_shot", "direct"})
    for (const char* protocol : {"", "ll", "simple"})
      for (std::size_t m = 0; m < kModes; ++m) {
        Options options = optionsOf(static_cast<Mode>(m));
        options.reproducible = true;
        options.algorithm = algorithm;
        options.protocol = protocol;
        const auto outcomes =
            runRanks(Kind::threads, 4, options,
                     [&](Communicator& communicator, int) { solveAll(communicator, problems); });
        EXPECT_EQ(failures(outcomes), "")
            << fmt::format("mode {}, {} {}", name(options.mode), algorithm, protocol);
      }
}

/// The control: other orders give other bits of the same problems, so the tests above could fail.
/// A reproducible communicator does not follow a file that asks for them.
TEST(Reproducible, OtherOrdersWouldGiveOtherBits) {
  for (const Way& way : {Way{"ring", "ring", "binomial", "simple"},
                         Way{"halving_doubling", "halving", "binomial", "ll"},
                         Way{"tree", "ring", "binomial", "simple"}})
    for (const DataType type : kFloats)
      for (const bool reproducible : {false, true}) {
        SCOPED_TRACE(fmt::format("{}, {}, reproducible {}", way.name(), name(type), reproducible));
        const Problem problem = problemOf(type, Reduction::sum, 5);
        const TuningFile file(way);
        Options options = optionsOf(Mode::p2p);
        options.tuningFile = file.path();
        options.reproducible = reproducible;
        std::array<Bytes, 3> got;  // of rank 0
        const auto outcomes =
            runRanks(Kind::threads, 5, options, [&](Communicator& comm, int rank) {
              Solver solver(comm, problem.expected.size());
              const std::array<Bytes, 3> mine{solver.allReduce(problem, 0),
                                              solver.reduceScatter(problem, 0),
                                              solver.reduce(problem, 0, 0)};
              if (rank == 0) got = mine;
            });
        EXPECT_EQ(failures(outcomes), "");
        EXPECT_EQ(got[0] == problem.expected, reproducible);
        EXPECT_EQ(got[1] == blockOf(problem, 0), reproducible);
        EXPECT_EQ(got[2] == problem.expected, reproducible);
      }
}

TEST(Reproducible, ForcingAnotherOrderFailsAtCreation) {
  for (const char* algorithm : {"ring", "tree", "halving_doubling", "halving", "binomial"}) {
    Options options = optionsOf(Mode::cc);
    options.reproducible = true;
    options.algorithm = algorithm;
    try {
      Communicator::createInProcess(3, options);
      ADD_FAILURE() << algorithm << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
      EXPECT_NE(std::string(error.what()).find("not reproducible"), std::string::npos)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
