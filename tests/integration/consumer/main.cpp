// What somebody writes who uses an installed Lockstep: two ranks add their numbers up.
#include <cstdio>
#include <string>
#include <thread>

#include <lockstep/lockstep.hpp>

int main() {
  auto ranks = lockstep::Communicator::createInProcess(2);
  float numbers[2][2] = {{1, 2}, {10, 20}};
  const auto play = [&](std::size_t rank) {
    ranks[rank].allReduce(numbers[rank], numbers[rank], 2, lockstep::DataType::f32);
  };
  std::thread other(play, 1);
  play(0);
  other.join();
  const std::string version(lockstep::version());
  std::printf("Lockstep %s: %g %g\n", version.c_str(), numbers[0][0], numbers[1][1]);
}
