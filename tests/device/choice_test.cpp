// Which algorithm and protocol a call on GPUs runs: whatever is asked for, it is one that there is,
// that the mode allows, and that kernels can run; or the error says why not.
#include "communicator/device/choice.hpp"

#include <gtest/gtest.h>

#include "device/worlds.hpp"

namespace lockstep::gpu {
namespace {

using schedule::Edges;

constexpr std::size_t kSizes[]{0, 1, 64, 4096, 32 << 10, (32 << 10) + 1, 64 << 10, 1 << 24};

template <class Check>
void forAllSituations(Check check) {
  for (std::size_t c = 0; c < kCollectives; ++c)
    for (const std::size_t bytes : kSizes)
      for (const int world : {1, 2, 7, 64})
        for (const bool registered : {false, true})
          for (const bool premultiplied : {false, contractOf(static_cast<Collective>(c)).reduces})
            check(Situation{static_cast<Collective>(c), bytes, world, registered, premultiplied});
}

constexpr Mode kModes[]{Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast};

TEST(DeviceChoice, IsOneThatCanRun) {
  for (const Mode mode : kModes)
    for (const bool reproducible : {false, true})
      forAllSituations([&](const Situation& s) {
        Options options;
        options.mode = mode;
        options.reproducible = reproducible;
        const Choice choice = choose(s, options);
        ASSERT_NE(choice.algorithm, nullptr);
        EXPECT_EQ(choice.algorithm->collective, s.collective);
        const bool inPlace = choice.algorithm->edges == Edges::exposure;
        EXPECT_TRUE(!inPlace || (s.registered && !s.premultiplied));
        if (isSealed(mode)) {
          EXPECT_FALSE(inPlace);
          EXPECT_EQ(choice.protocol, cuda::Protocol::simple);
        }
        const bool ordered = reproducible && contractOf(s.collective).reduces;
        EXPECT_TRUE(!ordered || choice.algorithm->rankOrder);
        EXPECT_FALSE(choice.reason.empty());
      });
}

TEST(DeviceChoice, TakesWhatIsForced) {
  for (const auto* algorithm : schedule::algorithms()) {
    if (algorithm->edges == Edges::exposure) continue;
    Options options;
    options.algorithm = algorithm->name;
    const Choice choice =
        choose({.collective = algorithm->collective, .bytes = 64, .worldSize = 4}, options);
    EXPECT_EQ(choice.algorithm->name, algorithm->name);
    EXPECT_NE(choice.reason.find("forced"), std::string::npos);
  }
  for (const char* protocol : {"simple", "ll"}) {
    Options options;
    options.protocol = protocol;
    const Choice choice = choose({.bytes = 1 << 20, .worldSize = 4}, options);
    EXPECT_EQ(choice.protocol == cuda::Protocol::ll, options.protocol == "ll");
  }
}

std::string refusal(const Situation& situation, Mode mode, const char* protocol) {
  return test::errorOf([&] {
    Options options;
    options.mode = mode;
    options.protocol = protocol;
    choose(situation, options);
  });
}

TEST(DeviceChoice, SaysWhyNot) {
  const Situation ordinary{.bytes = 64, .worldSize = 4};
  EXPECT_EQ(test::lacks(refusal(ordinary, Mode::p2p, "ll128"),
                        {"invalid argument", "no protocol is called ll128"}),
            "");
  EXPECT_EQ(
      test::lacks(refusal(ordinary, Mode::cc, "ll"), {"invalid argument", "not for sealed modes"}),
      "");
  EXPECT_EQ(test::lacks(refusal(ordinary, Mode::p2p, "zero_copy"),
                        {"invalid argument", "buffers of DeviceCommunicator::alloc"}),
            "");
  const Situation products{.bytes = 64, .worldSize = 4, .registered = true, .premultiplied = true};
  EXPECT_EQ(test::lacks(refusal(products, Mode::p2p, "zero_copy"),
                        {"invalid argument", "a premultiplied sum adds products"}),
            "");
}

}  // namespace
}  // namespace lockstep::gpu
