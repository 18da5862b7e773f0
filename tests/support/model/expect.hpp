// What tests expect of worlds: that all of their executions are right, and that their mutants are
// caught.
#pragma once

#include <cstddef>
#include <iostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/model/explorer.hpp"

namespace lockstep::model {

/// Explores and tells how much there was.
template <class World>
Report explored(const World& world) {
  Report report = explore(world);
  std::cout << "[ explored ] " << world.name << ": " << report.states << " states, "
            << report.transitions << " transitions\n";
  return report;
}

/// All executions of these worlds are right.
template <class World>
void expectRight(const std::vector<World>& worlds) {
  std::size_t states = 0;
  for (const World& world : worlds) {
    SCOPED_TRACE(world.name);
    const Report report = explored(world);
    EXPECT_TRUE(report.ok()) << report.text();
    states += report.states;
  }
  testing::Test::RecordProperty("states", std::to_string(states));
}

/// A world that is right but for what the mutant has wrong.
template <class World, class Bug>
struct Mutant {
  std::string name;
  Bug bug;
  World world;
  std::string fault;  ///< part of what the explorer must say
};

template <class World, class Bug>
void expectCaught(const std::vector<Mutant<World, Bug>>& mutants) {
  for (const auto& mutant : mutants) {
    SCOPED_TRACE(mutant.name);
    EXPECT_TRUE(explore(mutant.world).ok()) << "before it was broken";
    World broken = mutant.world;
    broken.bug = mutant.bug;
    const Report report = explore(broken);
    EXPECT_THAT(report.fault, testing::HasSubstr(mutant.fault)) << report.text();
    std::cout << "[  caught  ] " << mutant.name << " after " << report.states
              << " states: " << report.fault << "\n";
  }
}

}  // namespace lockstep::model
