#include "executor/cuda/fold.hpp"

#include <algorithm>
#include <functional>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lockstep::cuda {
namespace {

using schedule::Op;

using Signature = std::vector<std::tuple<schedule::OpKind, bool, std::size_t, std::size_t>>;

Signature signatureOf(const schedule::Program& program) {
  Signature signature;
  for (const schedule::Lane& lane : program.lanes)
    for (const Op& op : lane)
      signature.emplace_back(op.kind, op.finish, op.dst.size(), op.src.size());
  return signature;
}

/// Whether f(instance) is the value of every instance.
bool fits(std::span<const Instance> instances, std::span<const std::uint32_t> values,
          const std::function<std::uint32_t(const Instance&)>& f) {
  for (std::size_t i = 0; i < instances.size(); ++i)
    if (f(instances[i]) != values[i]) return false;
  return true;
}

}  // namespace

std::vector<Class> classesOf(std::span<const Instance> instances) {
  std::map<Signature, std::size_t> known;
  std::vector<Class> classes;
  for (const Instance& instance : instances) {
    const auto [at, isNew] = known.emplace(signatureOf(*instance.program), classes.size());
    if (isNew) classes.emplace_back();
    classes[at->second].push_back(instance);
  }
  return classes;
}

/// Empty: there is none.
std::string Numbers::formula(std::span<const Instance> instances,
                             std::span<const std::uint32_t> values) const {
  const auto step = [](const Instance& i) { return static_cast<std::uint32_t>(i.step); };
  const std::uint32_t value = values.front(), begin = value - step(instances.front());
  if (fits(instances, values, [&](const Instance&) { return value; }))
    return fmt::format("{}", value);
  if (fits(instances, values, [&](const Instance& i) { return begin + step(i); }))
    return begin == 0 ? "step" : fmt::format("{} + step", begin);
  if (std::string text = aroundFrom("r", &Instance::rank, instances, values); !text.empty())
    return text;
  if (rooted_) return aroundFrom("root", &Instance::root, instances, values);
  return aroundFrom("0", nullptr, instances, values);
}

/// So far around the ring from `start` (nullptr: from rank 0), or one further, or one less far,
/// with each step.
std::string Numbers::aroundFrom(std::string_view name, int Instance::*start,
                                std::span<const Instance> instances,
                                std::span<const std::uint32_t> values) const {
  const auto world = static_cast<std::uint32_t>(world_);
  std::uint32_t mostSteps = 0;
  for (const Instance& i : instances)
    mostSteps = std::max(mostSteps, static_cast<std::uint32_t>(i.step));
  for (const std::uint32_t each : {0U, 1U, world - 1}) {
    const auto from = [&](const Instance& i) {
      return static_cast<std::uint32_t>(start == nullptr ? 0 : i.*start) +
             each * static_cast<std::uint32_t>(i.step);
    };
    if (values.front() >= world) return {};
    const std::uint32_t offset = (values.front() + world - from(instances.front()) % world) % world;
    if (!fits(instances, values, [&](const Instance& i) { return (from(i) + offset) % world; }))
      continue;
    const char* steps = each == 0 ? "" : each == 1 ? " + step" : " - step";
    // What is subtracted must not lead below zero, where % has other ideas.
    const std::uint32_t around = (mostSteps + world - 1) / world * world;
    const std::uint32_t shown = each > 1 ? offset + around : offset;
    if (shown == 0 && each == 0) return std::string(name);
    return fmt::format("({} + {}{}) % {}", name, shown, steps, world);
  }
  return {};
}

std::string Numbers::lookUp(std::span<const Instance> instances,
                            std::span<const std::uint32_t> values) {
  const auto world = static_cast<std::size_t>(world_);
  std::size_t steps = 1;
  for (const Instance& i : instances) steps = std::max(steps, static_cast<std::size_t>(i.step) + 1);
  const auto rank = [](const Instance& i) { return static_cast<std::size_t>(i.rank); };
  const auto place = [&](const Instance& i) {
    return (rank(i) + world - static_cast<std::size_t>(i.root)) % world;
  };
  const auto both = [&](const Instance& i) {
    return static_cast<std::size_t>(i.root) * world + rank(i);
  };
  const auto tryBy = [&](std::size_t size, std::string index, const auto& key) -> std::string {
    std::vector<std::uint32_t> entries(size * steps, ~std::uint32_t{0});
    for (std::size_t i = 0; i < instances.size(); ++i) {
      const std::size_t at = static_cast<std::size_t>(instances[i].step) * size + key(instances[i]);
      if (entries[at] != ~std::uint32_t{0} && entries[at] != values[i]) return {};
      entries[at] = values[i];
    }
    std::ranges::replace(entries, ~std::uint32_t{0}, 0U);
    if (steps != 1) index = fmt::format("step * {} + {}", size, index);
    return fmt::format("{}[{}]", table(entries), index);
  };
  if (std::string text = tryBy(world, "r", rank); !text.empty()) return text;
  if (std::string text = tryBy(world, "place", place); !text.empty()) return text;
  return tryBy(world * world, fmt::format("root * {} + r", world), both);
}

std::string Numbers::table(std::span<const std::uint32_t> values) {
  const auto [at, isNew] = tables_.emplace(std::vector(values.begin(), values.end()), "");
  if (isNew) {
    at->second = fmt::format("kTable{}", tables_.size() - 1);
    definitions_ +=
        fmt::format("constexpr u16 {}[] = {{{}}};\n", at->second, fmt::join(values, ", "));
  }
  return at->second;
}

std::string Numbers::expression(std::span<const Instance> instances,
                                std::span<const std::uint32_t> values) {
  std::string text = formula(instances, values);
  return text.empty() ? lookUp(instances, values) : text;
}

std::string Numbers::predicate(std::span<const Instance> instances,
                               const std::vector<bool>& chosen) {
  // Usually one rank is apart: "r == 3", whatever the others are.
  for (const bool wanted : {true, false}) {
    std::vector<Instance> apart;
    for (std::size_t i = 0; i < instances.size(); ++i)
      if (chosen[i] == wanted) apart.push_back(instances[i]);
    const bool sameRank = !apart.empty() && std::ranges::all_of(apart, [&](const Instance& i) {
      return i.rank == apart.front().rank;
    });
    const auto isApart = [&](const Instance& i) {
      return std::ranges::any_of(apart, [&](const Instance& a) {
        return a.rank == i.rank && a.root == i.root && a.step == i.step;
      });
    };
    const bool others = std::ranges::none_of(instances, [&](const Instance& i) {
      return sameRank && i.rank == apart.front().rank && !isApart(i);
    });
    if (sameRank && others) return fmt::format("r {} {}", wanted ? "==" : "!=", apart.front().rank);
  }
  std::vector<std::uint32_t> values(chosen.begin(), chosen.end());
  return expression(instances, values) + " != 0";
}

}  // namespace lockstep::cuda
