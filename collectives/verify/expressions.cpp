#include "collectives/verify/expressions.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace lockstep::schedule {
namespace {

/// First letters of keys: what the rest of the key is.
enum Tag : char32_t { kInput, kReduction, kFinishedReduction };

}  // namespace

Expressions::Expressions() {
  nodes_.emplace_back();  // kUndefined
}

Expressions::Value Expressions::input(int rank, Home home) {
  const std::u32string key{kInput, static_cast<char32_t>(rank), home.chunk, home.tile, home.call};
  Node node;
  node.rank = rank;
  node.facts.home = home;
  node.facts.ranks = std::uint64_t{1} << rank;
  node.facts.inRankOrder = rank == 0;
  return intern(key, std::move(node));
}

Expressions::Value Expressions::reduce(std::span<const Value> terms, bool finish) {
  if (std::find(terms.begin(), terms.end(), kUndefined) != terms.end()) return kUndefined;
  if (terms.size() == 1 && !finish) return terms[0];
  std::u32string key(1, finish ? kFinishedReduction : kReduction);
  key.append(terms.begin(), terms.end());
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  Node node;
  node.terms.assign(terms.begin(), terms.end());
  node.facts = combine(terms, finish);
  return intern(key, std::move(node));
}

Expressions::Value Expressions::intern(const std::u32string& key, Node node) {
  const auto [entry, isNew] = known_.try_emplace(key, static_cast<Value>(nodes_.size()));
  if (isNew) nodes_.push_back(std::move(node));
  return entry->second;
}

Expressions::Facts Expressions::combine(std::span<const Value> terms, bool finish) const {
  Facts all;
  all.home = facts(terms[0]).home;
  all.rounded = terms.size() > 1 || facts(terms[0]).rounded;
  all.inRankOrder = true;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const Facts& term = facts(terms[i]);
    all.mixed |= term.mixed || term.home != all.home;
    all.doubled |= term.doubled | (all.ranks & term.ranks);
    all.ranks |= term.ranks;
    all.finishes = std::max(all.finishes, term.finishes);
    all.rounded |= term.rounded;
    all.inRankOrder &= nodes_[terms[i]].rank == static_cast<int>(i);
  }
  all.finishes += finish ? 1 : 0;
  return all;
}

std::string Expressions::text(Value value, const Home& home) const {
  std::string text;
  append(text, value, home);
  return text;
}

void Expressions::append(std::string& text, Value value, const Home& home) const {
  if (text.size() > kTextLimit) {
    if (!text.ends_with("..")) text += "..";
    return;
  }
  const Node& node = nodes_[value];
  if (value == kUndefined) {
    text += "undefined";
  } else if (node.rank >= 0) {
    const Home& own = node.facts.home;
    text += fmt::format("in{}", node.rank);
    if (own.chunk != home.chunk) text += fmt::format("[{}]", own.chunk);
    if (own.tile != home.tile || own.call != home.call)
      text += fmt::format("(tile {} of call {})", own.tile, own.call);
  } else {
    const bool reduces = node.terms.size() > 1;  // otherwise a copy that finishes
    if (reduces) text += "round(";
    for (std::size_t i = 0; i < node.terms.size(); ++i) {
      if (i > 0) text += " + ";
      append(text, node.terms[i], home);
    }
    if (reduces) text += ")";
  }
}

}  // namespace lockstep::schedule
