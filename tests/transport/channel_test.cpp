// The two ends of a channel on memory as a segment has it: how far a writer gets ahead of its
// readers, and that messages stay whole meanwhile.
#include "transport/shm/channel.hpp"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace lockstep::shm {
namespace {

class EveryProtocol : public ::testing::TestWithParam<Protocol> {
 protected:
  EveryProtocol() : out_(outArea_.get(), GetParam()) {
    for (int reader = 0; reader < kReaders; ++reader) {
      InArea& area = inAreas_[static_cast<std::size_t>(reader)];
      Word* credits = GetParam() == Protocol::brief    ? area.brief.credit.data()
                      : GetParam() == Protocol::simple ? area.simple.credit.data()
                                                       : area.ll.credit.data();
      out_.addReader(reader, credits);
      ins_.emplace_back(outArea_.get(), credits, GetParam(), kReaders);
    }
  }

  static std::size_t longest() {
    switch (GetParam()) {
      case Protocol::simple:
        return kSlotBytes;
      case Protocol::ll:
        return kLlBytes;
      case Protocol::brief:
        break;
    }
    return kBriefBytes;
  }
  /// Of any length up to the longest, and telling.
  static std::vector<std::byte> messageOf(Step step) {
    std::vector<std::byte> message(step % 3 == 0 ? longest() : step * 37 % longest());
    for (std::size_t i = 0; i < message.size(); ++i)
      message[i] = static_cast<std::byte>(i * 31 + step);
    return message;
  }

  void write(Step step) {
    const auto message = messageOf(step);
    if (isLines(GetParam())) return out_.writeLines(step, step, message.data(), message.size());
    out_.payload(step).copyIn(0, message.data(), message.size());
    out_.publishPayload(step, step);
  }
  void expectMessage(InChannel& in, Step step) {
    const auto expected = messageOf(step);
    ASSERT_TRUE(in.ready(step, expected.size())) << step;
    EXPECT_EQ(in.fingerprint(step), step);
    std::vector<std::byte> found(expected.size());
    if (isLines(GetParam()))
      in.readLines(step, found.data(), found.size());
    else
      in.payload(step).copyOut(0, found.data(), found.size());
    EXPECT_EQ(found, expected) << step;
    in.consumed(step);
  }

  static constexpr int kReaders = 2;
  std::unique_ptr<OutArea> outArea_ = std::make_unique<OutArea>();
  std::vector<InArea> inAreas_{kReaders};
  OutChannel out_;
  std::vector<InChannel> ins_;
};

TEST_P(EveryProtocol, TheWriterFillsAllSlotsAndThenWaitsForTheSlowestReader) {
  const std::size_t slots = slotsOf(GetParam());
  Step written = 0;
  for (; out_.hasCredit(written); ++written) {
    ASSERT_LT(written, 2 * slots) << "nobody has read anything";
    write(written);
  }
  EXPECT_EQ(written, slots);
  for (Step step = 0; step < 5 * slots; ++step) {
    expectMessage(ins_[0], step);
    EXPECT_FALSE(out_.hasCredit(written));
    EXPECT_EQ(out_.lacking().rank, 1);
    expectMessage(ins_[1], step);
    ASSERT_TRUE(out_.hasCredit(written));
    write(written++);
  }
}

TEST_P(EveryProtocol, WhatIsStillToComeIsNotReady) {
  const std::size_t bytes = longest();
  EXPECT_FALSE(ins_[0].ready(0, bytes));
  write(0);
  EXPECT_TRUE(ins_[0].ready(0, bytes));
  EXPECT_FALSE(ins_[0].ready(1, bytes));
  EXPECT_FALSE(ins_[0].ready(slotsOf(GetParam()), bytes)) << "the slot still has the old message";
}

INSTANTIATE_TEST_SUITE_P(Channel, EveryProtocol,
                         ::testing::Values(Protocol::simple, Protocol::ll, Protocol::brief),
                         [](const auto& protocol) {
                           return protocol.param == Protocol::simple ? "simple"
                                  : protocol.param == Protocol::ll   ? "ll"
                                                                     : "brief";
                         });

}  // namespace
}  // namespace lockstep::shm
