#include "bench/processes.hpp"

#include <csignal>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

namespace lockstep::bench {
namespace {

ChildSetup shell(const std::string& script) {
  ChildSetup setup;
  setup.program = "/bin/sh";
  setup.arguments = {"-c", script};
  return setup;
}

ChildEnd waitFor(Children& children) {
  for (;;) {
    if (const auto end = children.reap()) return *end;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST(Children, ReportHowTheyEnd) {
  Children children;
  children.start(shell("exit 3"));
  EXPECT_EQ(describeEnd(waitFor(children).status), "ended with exit status 3");
  children.start(shell("kill -9 $$"));
  const ChildEnd end = waitFor(children);
  EXPECT_EQ(end.index, 1u);
  EXPECT_EQ(describeEnd(end.status), "was killed by signal 9 (Killed)");
  EXPECT_FALSE(children.running());
}

TEST(Children, AreOneGroupApartFromOurs) {
  Children children;
  children.start(
      shell("test $(ps -o pgid= -p $$ 2>/dev/null || echo 0) != " + std::to_string(getpgrp())));
  EXPECT_EQ(waitFor(children).status, 0);
}

TEST(Children, TerminateEndsTheStubbornAndTheStopped) {
  Children children;
  children.start(shell("trap '' TERM; while :; do sleep 0.05; done"));
  children.start(shell("kill -STOP $$; exit 0"));
  children.start(shell("sleep 100"));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  children.terminate();
  EXPECT_FALSE(children.running());
}

}  // namespace
}  // namespace lockstep::bench
