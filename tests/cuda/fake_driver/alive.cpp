// What is still alive: for tests to ask, and said at the end of the process.
#include <cstdio>
#include <string>

#include <unistd.h>

#include "cuda/fake_driver/captures.hpp"
#include "cuda/fake_driver/environment.hpp"
#include "cuda/fake_driver/events.hpp"
#include "cuda/fake_driver/memory.hpp"
#include "cuda/fake_driver/modules.hpp"
#include "cuda/fake_driver/streams.hpp"

namespace lockstep::cuda::fake {
namespace {

void say(std::string& words, std::size_t count, const char* what) {
  if (count == 0) return;
  if (!words.empty()) words += ", ";
  words += std::to_string(count) + " " + what;
}

std::string alive() {
  std::string words;
  say(words, contextsAlive(), "contexts");
  say(words, streamsAlive(), "streams");
  say(words, eventsAlive(), "events");
  say(words, modulesAlive(), "modules");
  say(words, graphsAlive(), "graphs");
  const std::lock_guard lock(space().mutex);
  std::size_t mapped = 0, allocated = 0, opened = 0;
  for (const auto& entry : space().mappings) {
    mapped += entry.second.origin == Origin::mapped;
    allocated += entry.second.origin == Origin::allocated;
    opened += entry.second.origin == Origin::opened;
  }
  say(words, allocated, "pieces of memory");
  say(words, opened, "opened memories of others");
  say(words, space().pinned.size(), "pinned host memories");
  say(words, space().handles.size(), "allocation handles");
  say(words, mapped, "mappings");
  say(words, space().reservations.size(), "address ranges");
  return words;
}

/// After all static objects of the program are gone.
__attribute__((destructor)) void sayAtTheEnd() {
  if (!isSet("LOCKSTEP_FAKE_STRICT") || !isInitialised()) return;
  const std::string words = alive();
  if (words.empty()) return;
  std::fprintf(stderr, "lockstep_fake_cuda: still alive: %s\n", words.c_str());
  std::fflush(nullptr);
  ::_exit(99);
}

}  // namespace
}  // namespace lockstep::cuda::fake

extern "C" {
/// Not CUDA's: writes what is alive in this process, "2 streams, 1 modules"; nothing when nothing
/// is.
__attribute__((visibility("default"))) void lockstepFakeCudaAlive(char* words, unsigned bytes);
void lockstepFakeCudaAlive(char* words, unsigned bytes) {
  std::snprintf(words, bytes, "%s", lockstep::cuda::fake::alive().c_str());
}
}
