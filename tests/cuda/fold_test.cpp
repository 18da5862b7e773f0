// Expressions that stand for numbers, held to these numbers by a small evaluator; and how many
// texts the programs of a schedule fold into.
#include "executor/cuda/fold.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <random>
#include <stdexcept>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "collectives/registry.hpp"
#include "executor/prepare.hpp"

namespace lockstep::cuda {
namespace {

using Words = std::vector<std::uint32_t>;

/// What C++ makes of an expression of u32: + - * % == !=, parentheses, names and tables.
class Evaluator {
 public:
  Evaluator(std::string_view definitions, std::map<std::string, std::uint32_t> names)
      : names_(std::move(names)) {
    constexpr std::string_view kHead = "constexpr u16 ";
    for (std::size_t at = 0; (at = definitions.find(kHead, at)) != std::string_view::npos;) {
      at += kHead.size();
      const std::string name(definitions.substr(at, definitions.find('[', at) - at));
      Words& table = tables_[name];
      for (at = definitions.find('{', at); definitions[at] != '}';
           at = definitions.find_first_of(",}", at + 1))
        table.push_back(static_cast<std::uint32_t>(std::stoul(std::string(
            definitions.substr(at + 1, definitions.find_first_of(",}", at + 1) - at - 1)))));
    }
  }

  std::uint32_t operator()(std::string_view text) {
    rest_ = text;
    const std::uint32_t left = sum();
    if (skipped("==")) return left == sum();
    if (skipped("!=")) return left != sum();
    skipBlanks();
    if (!rest_.empty()) throw std::runtime_error("left over: " + std::string(rest_));
    return left;
  }

 private:
  void skipBlanks() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }
  bool skipped(std::string_view token) {
    skipBlanks();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  std::uint32_t sum() {
    std::uint32_t value = product();
    for (;;)
      if (skipped("+"))
        value += product();
      else if (skipped("-"))
        value -= product();
      else
        return value;
  }
  std::uint32_t product() {
    std::uint32_t value = atom();
    for (;;)
      if (skipped("*"))
        value *= atom();
      else if (skipped("%"))
        value %= atom();
      else
        return value;
  }
  std::uint32_t atom() {
    if (skipped("(")) return closed(")");
    std::string word;
    for (; !rest_.empty() && std::isalnum(static_cast<unsigned char>(rest_.front())) != 0;
         rest_.remove_prefix(1))
      word += rest_.front();
    if (word.empty()) throw std::runtime_error("no operand at: " + std::string(rest_));
    if (std::isdigit(static_cast<unsigned char>(word[0])) != 0)
      return static_cast<std::uint32_t>(std::stoul(word));
    if (skipped("[")) return tables_.at(word).at(closed("]"));
    return names_.at(word);
  }
  std::uint32_t closed(std::string_view bracket) {
    const std::uint32_t value = sum();
    if (!skipped(bracket)) throw std::runtime_error("unclosed");
    return value;
  }

  std::map<std::string, std::uint32_t> names_;
  std::map<std::string, Words> tables_;
  std::string_view rest_;
};

std::uint32_t evaluate(const Numbers& numbers, const std::string& text, int world,
                       const Instance& at, int root) {
  const auto u32 = [](int value) { return static_cast<std::uint32_t>(value); };
  Evaluator evaluator(numbers.definitions(), {{"r", u32(at.rank)},
                                              {"root", u32(root)},
                                              {"place", u32((at.rank + world - root) % world)},
                                              {"step", u32(at.step)}});
  return evaluator(text);
}

/// Some ranks of a world, with every root and step or only one.
struct Setting {
  int world;
  bool rooted;
  std::vector<Instance> instances;
};

Setting randomSetting(std::mt19937& random) {
  Setting s{1 + static_cast<int>(random() % 9), random() % 2 == 0, {}};
  const int steps = random() % 3 == 0 ? 1 : 1 + static_cast<int>(random() % 25);
  const bool everyRank = random() % 2 == 0;
  for (int step = 0; step < steps; ++step)
    for (int root = 0; root < (s.rooted ? s.world : 1); ++root)
      for (int rank = 0; rank < s.world; ++rank)
        if (everyRank || rank % 2 == 0) s.instances.push_back({rank, root, nullptr, step});
  return s;
}

/// Numbers as schedules have them, or any at all.
Words randomValues(const Setting& s, std::mt19937& random) {
  const unsigned kind = random() % 8, c = random() % 70, world = static_cast<unsigned>(s.world);
  Words values;
  for (const Instance& i : s.instances) {
    const auto rank = static_cast<unsigned>(i.rank), root = static_cast<unsigned>(i.root),
               step = static_cast<unsigned>(i.step);
    const unsigned all[] = {c,
                            c + step,
                            (rank + c + step) % world,
                            (rank + c + 25 * world - step) % world,
                            (root + c + 25 * world - step) % world,
                            (c + 25 * world - step) % world,
                            (rank + world - root) % world * c,
                            static_cast<unsigned>(random() % 1000)};
    values.push_back(all[kind]);
  }
  return values;
}

TEST(Fold, ExpressionsHaveTheValuesThatTheyStandFor) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 800; ++trial) {
    const Setting s = randomSetting(random);
    const Words values = randomValues(s, random);
    Numbers numbers(s.world, s.rooted);
    const std::string text = numbers.expression(s.instances, values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      // Whoever has no root may be given any.
      const int root =
          s.rooted ? s.instances[i].root : static_cast<int>(random() % unsigned(s.world));
      ASSERT_EQ(evaluate(numbers, text, s.world, s.instances[i], root), values[i])
          << text << ", world " << s.world << ", rank " << s.instances[i].rank << ", step "
          << s.instances[i].step << "\n"
          << numbers.definitions();
    }
  }
}

TEST(Fold, PredicatesAreTrueForThoseChosen) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 600; ++trial) {
    const Setting s = randomSetting(random);
    const int apart = static_cast<int>(random() % unsigned(s.world));
    const unsigned kind = random() % 3;
    std::vector<bool> chosen;
    for (const Instance& i : s.instances)
      chosen.push_back(kind == 0   ? i.rank == apart
                       : kind == 1 ? i.rank != apart
                                   : random() % 2 == 0);
    Numbers numbers(s.world, s.rooted);
    const std::string text = numbers.predicate(s.instances, chosen);
    for (std::size_t i = 0; i < chosen.size(); ++i)
      ASSERT_EQ(evaluate(numbers, text, s.world, s.instances[i], s.instances[i].root) != 0,
                chosen[i])
          << text;
  }
}

TEST(Fold, TheSameTableIsWrittenOnce) {
  Numbers numbers(3, false);
  const Words one{5, 9, 1}, other{5, 9, 2};
  const std::string name = numbers.table(one);
  EXPECT_NE(numbers.table(other), name);
  EXPECT_EQ(numbers.table(one), name);
  EXPECT_EQ(std::ranges::count(numbers.definitions(), '\n'), 2);
}

std::vector<schedule::Schedule> schedulesOf(const schedule::Algorithm& algorithm, Mode mode,
                                            int world) {
  std::vector<schedule::Schedule> all;
  const int roots = contractOf(algorithm.collective).rooted ? world : 1;
  for (int root = 0; root < roots; ++root)
    all.push_back(prepareSchedule(algorithm, mode, world, false, root));
  return all;
}

/// Where every rank has a role of its own in a tree or in folding to a power of two, it has a text.
TEST(Fold, ProgramsOfAllRanksAndRootsAreFewTexts) {
  std::size_t kernels = 0, single = 0;
  for (const schedule::Algorithm* algorithm : schedule::algorithms())
    for (int world = 1; world <= 8; ++world) {
      const auto schedules = schedulesOf(*algorithm, Mode::p2p, world);
      std::vector<Instance> instances;
      for (const schedule::Schedule& s : schedules)
        for (int rank = 0; rank < world; ++rank)
          instances.push_back({rank, s.shape.root, &s.programs[static_cast<std::size_t>(rank)]});
      const std::vector<Class> classes = classesOf(instances);
      std::size_t members = 0;
      for (const Class& c : classes) members += c.size();
      ASSERT_EQ(members, instances.size());
      ++kernels;
      single += classes.size() == 1 ? 1U : 0U;
      EXPECT_LE(classes.size(), std::min<std::size_t>(5, static_cast<std::size_t>(world)))
          << lockstep::name(algorithm->collective) << " " << algorithm->name << ", world " << world;
    }
  RecordProperty("kernels", static_cast<int>(kernels));
  EXPECT_GE(single * 2, kernels) << single << " of " << kernels << " are one text";
}

}  // namespace
}  // namespace lockstep::cuda
