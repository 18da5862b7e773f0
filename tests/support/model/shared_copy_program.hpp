// Copies that a sender and a receiver share, as Transfers does (transfer_lend.cpp): the sender says
// where the payload is, the receiver where it goes, both copy blocks, and each has its buffer back
// in the end. The two ends are the library's own code.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/model/explorer.hpp"
#include "transport/shm/protocol.hpp"
#include "transport/shm/shared_copy.hpp"

namespace lockstep::model {

enum class SharedCopyBug : std::uint8_t {
  none,
  readerClaimWeak,     ///< acquire and release where sequential consistency is asked for
  writerClaimWeak,     ///< the same
  readerClaimRelaxed,  ///< stores of the word, whatever is asked for
  writerClaimRelaxed,
  writerClaimLoadRelaxed,
  readerTakesUndecided,   ///< copies a block that the writer has claimed and not decided on
  readerLeavesUndecided,  ///< takes it for the writer's
  writerKeepsClaim,       ///< does not look whether the reader was first
  completeNotAwaited,
  noCopyNumber,  ///< words of an earlier copy count
  openBeforeWhere,
  openUnchecked,
  quietNotAwaited,  ///< the receiver gives up without waiting for the sender
};

/// Copies one after the other, copy k of blocks[k] blocks.
struct SharedCopyWorld {
  std::string name;
  std::vector<std::uint32_t> blocks;
  bool givesUp = false;  ///< the receiver, any time in the (only) copy
  SharedCopyBug bug = SharedCopyBug::none;
};

/// A call of the code under test is several accesses, and each is a step of its own. So the call is
/// run again in every step: what it has accessed before is played back, the next access is made,
/// and the one after that ends the run, unless the call returns before.
class ResumedCall {
 public:
  explicit ResumedCall(Machine& machine) : machine_(machine) {}

  std::uint64_t load(std::size_t word, std::memory_order order) {
    if (at_ == made()) {
      takeTurn();
      entry(at_) = static_cast<Byte>(machine_.load(word, order));
    }
    return decode(entry(at_++));
  }
  void store(std::size_t word, std::uint64_t value, std::memory_order order) {
    if (at_ == made()) {
      takeTurn();
      machine_.store(word, encode(value), order);
    }
    ++at_;
  }
  /// What an earlier load of this call has read.
  std::uint64_t earlier(std::size_t access) { return decode(entry(access)); }
  std::size_t accesses() const { return at_; }

  /// The result of `call`, or nothing while it is not through.
  template <class Call>
  auto run(Call call) -> std::optional<decltype(call())> {
    try {
      auto result = call();
      for (std::size_t i = 0; i < kMostAccesses; ++i) entry(i) = 0;
      made() = 0;
      return result;
    } catch (const Suspended&) {
      return std::nullopt;
    }
  }

  static constexpr std::size_t kFirstLocal = 2;  ///< of the program's: the rest is the call's

 private:
  struct Suspended {};
  static constexpr std::size_t kMostAccesses = 4;

  Byte& made() { return machine_.local(kFirstLocal); }
  Byte& entry(std::size_t access) { return machine_.local(kFirstLocal + 1 + access); }
  void takeTurn() {
    if (std::exchange(tookTurn_, true)) throw Suspended{};
    if (++made() > kMostAccesses) throw std::length_error("a call of more accesses");
  }

  // A word of the machine is a byte: 3 bits of the copy's number, 2 of state, 3 of block.
  static Byte encode(std::uint64_t word) {
    const std::uint64_t number = word >> shm::kCopyShift, block = shm::unpack(word).block;
    if (number > 7 || block > 7) throw std::length_error("claims that do not fit");
    return static_cast<Byte>(number << 5 | (word >> shm::kStateShift & 3) << 3 | block);
  }
  static std::uint64_t decode(std::uint64_t byte) {
    return byte >> 5 << shm::kCopyShift | (byte >> 3 & 3) << shm::kStateShift | (byte & 7);
  }

  Machine& machine_;
  std::size_t at_ = 0;
  bool tookTurn_ = false;
};

/// Turns a world into a program. It must outlive the program.
class SharedCopyProgram {
 public:
  explicit SharedCopyProgram(const SharedCopyWorld& world) : world_(world) {
    const auto own = [](const char* name, std::size_t writer) {
      return WordSpec{.name = name, .writer = writer, .readers = {1 - writer}};
    };
    program_.words = {own("head", kSender), own("credit", kReceiver),
                      own("reader's claims", kReceiver), own("writer's claims", kSender),
                      own("failed", kReceiver)};
    program_.words[kReaderClaims].weak = has(SharedCopyBug::readerClaimWeak);
    program_.words[kWriterClaims].weak = has(SharedCopyBug::writerClaimWeak);
    program_.words[kReaderClaims].relaxedStores = has(SharedCopyBug::readerClaimRelaxed);
    program_.words[kWriterClaims].relaxedStores = has(SharedCopyBug::writerClaimRelaxed);
    program_.words[kWriterClaims].relaxedLoads = has(SharedCopyBug::writerClaimLoadRelaxed);
    Lane sender, receiver;
    for (std::size_t copy = 0; copy < world.blocks.size(); ++copy) {
      addSender(sender, copy);
      addReceiver(receiver, copy);
    }
    program_.threads = {{{std::move(sender)}}, {{std::move(receiver)}}};
    if (world.givesUp) {
      addGivingUp(program_.threads[kReceiver][0][0]);
      program_.threads[kReceiver][0].push_back({{"has enough", [](Machine& m) {
                                                   m.local(kEnough) = 1;
                                                   return Outcome::done;
                                                 }}});
    }
  }
  SharedCopyProgram(const SharedCopyProgram&) = delete;
  SharedCopyProgram& operator=(const SharedCopyProgram&) = delete;
  const Program& program() const { return program_; }

 private:
  enum Rank : std::uint8_t { kSender, kReceiver };
  enum Words : std::uint8_t { kHead, kCredit, kReaderClaims, kWriterClaims, kFailed };
  enum Local : std::uint8_t { kEnd, kEnough };
  static constexpr std::size_t kMost = 3;  ///< blocks
  static constexpr std::size_t kWhere = 2 * kMost;
  static std::size_t source(std::size_t block) { return block; }
  static std::size_t target(std::size_t block) { return kMost + block; }
  static std::uint64_t payload(std::size_t copy, std::size_t block) { return 8 * copy + block + 1; }

  bool has(SharedCopyBug bug) const { return world_.bug == bug; }

  /// The words as the ends see them, in one call.
  struct Claims {
    const SharedCopyProgram* program;
    ResumedCall* call;
    std::size_t word, copy;
    void store(std::uint64_t value, std::memory_order order) { call->store(word, value, order); }
    std::uint64_t load(std::memory_order order) const {
      std::uint64_t value = call->load(word, order);
      const bool verdict = word == kReaderClaims && call->accesses() == 3;
      if (program->has(SharedCopyBug::writerKeepsClaim) && verdict) value = call->earlier(0);
      if (program->has(SharedCopyBug::noCopyNumber)) value = shm::pack(copy, shm::unpack(value));
      return value;
    }
  };
  using Reader = shm::ReaderEnd<Claims>;
  using Writer = shm::WriterEnd<Claims>;

  /// States of ends are numbered as they come up: a thread has but bytes.
  template <class End>
  static Byte numberOf(std::vector<End>& known, const End& end) {
    const auto found = std::find(known.begin(), known.end(), end);
    const auto number = static_cast<std::size_t>(found - known.begin());
    if (number > 255) throw std::length_error("more states of an end than a byte tells");
    if (found == known.end()) known.push_back(end);
    return static_cast<Byte>(number);
  }

  /// `method(end, mine, theirs)`, as far as it gets.
  template <class End, class Method>
  auto resume(Machine& m, std::vector<End>& known, std::size_t copy, Method method) const {
    constexpr bool reads = std::is_same_v<End, Reader>;
    ResumedCall call(m);
    Claims mine{this, &call, reads ? kReaderClaims : kWriterClaims, copy};
    Claims theirs{this, &call, reads ? kWriterClaims : kReaderClaims, copy};
    End end = known.empty() ? End() : known.at(m.local(kEnd));
    auto result = call.run([&] { return method(end, mine, theirs); });
    if (result) m.local(kEnd) = numberOf(known, end);
    return result;
  }

  /// A step that runs `method`, and then goes to where `next` says.
  template <class End, class Method, class Next>
  Step step(const char* name, std::vector<End>& known, std::size_t copy, Method method,
            Next next) const {
    return {name, [=, this, &known](Machine& m) {
              const auto result = resume(m, known, copy, method);
              if (!result) return Outcome::again;
              m.jump(next(*result));
              return Outcome::done;
            }};
  }

  static void copyBlock(Machine& m, std::size_t copy, std::size_t block) {
    Machine::check(m.read(source(block)) == payload(copy, block), "copied what was not sent");
    Machine::check(m.read(target(block)) == 0, "copied a block twice");
    m.write(target(block), payload(copy, block));
  }
  static void scribble(Machine& m, std::size_t (*place)(std::size_t), std::size_t blocks) {
    for (std::size_t b = 0; b < blocks; ++b) m.write(place(b), 0);
  }

  // ---- the sender ----

  /// Steps of a copy, counted from its first.
  enum SenderPlace : std::uint8_t { kLook = 2, kOpen, kWhereTo, kClaim, kCopy, kCopied, kBack };

  void addSender(Lane& lane, std::size_t copy) {
    const std::size_t at = lane.size();
    const std::uint32_t blocks = world_.blocks[copy];
    lane.push_back({"fill", [=](Machine& m) {
                      for (std::size_t b = 0; b < blocks; ++b) m.write(source(b), payload(copy, b));
                      return Outcome::done;
                    }});
    lane.push_back({"send", [=, this](Machine& m) {
                      Writer end;
                      end.begin(copy, blocks);
                      m.local(kEnd) = numberOf(writers_, end);
                      Word head = m.word(kHead);
                      shm::publish(head, copy);
                      return Outcome::done;
                    }});
    lane.push_back({"look whether it is returned", [=](Machine& m) {
                      const bool back = shm::readCredit(m.word(kCredit)) > copy ||
                                        m.load(kFailed, std::memory_order_acquire) != 0U;
                      m.jump(at + (back ? kBack : kOpen));
                      return Outcome::done;
                    }});
    lane.push_back(step(
        "look whether the copy is open", writers_, copy,
        [](Writer& end, Claims&, const Claims& theirs) { return end.isOpen(theirs); },
        [=, this](bool open) {
          return at + (open || has(SharedCopyBug::openUnchecked) ? kWhereTo : kLook);
        }));
    lane.push_back({"read where it goes", [=](Machine& m) {
                      Machine::check(m.read(kWhere) == copy + 1, "goes to another place");
                      return Outcome::done;
                    }});
    lane.push_back(step(
        "claim", writers_, copy,
        [](Writer& end, Claims& mine, const Claims& theirs) { return end.claim(mine, theirs); },
        [=](shm::Turn turn) { return at + (turn == shm::Turn::copy ? kCopy : kLook); }));
    lane.push_back({"copy", [=, this](Machine& m) {
                      copyBlock(m, copy, writers_.at(m.local(kEnd)).next());
                      return Outcome::done;
                    }});
    lane.push_back(step(
        "copied", writers_, copy,
        [](Writer& end, Claims& mine, const Claims&) {
          end.copied(mine);
          return true;
        },
        [=](bool) { return at + kLook; }));
    lane.push_back({"write to what is mine again", [=](Machine& m) {
                      scribble(m, source, blocks);
                      return Outcome::done;
                    }});
  }

  // ---- the receiver ----

  enum ReceiverPlace : std::uint8_t { kTake = 3, kTook, kComplete, kReturn, kUse, kReceived };

  void addReceiver(Lane& lane, std::size_t copy) {
    const std::size_t at = lane.size();
    const std::uint32_t blocks = world_.blocks[copy];
    const Step where{"say where it goes", [=](Machine& m) {
                       m.write(kWhere, copy + 1);
                       return Outcome::done;
                     }};
    const bool early = has(SharedCopyBug::openBeforeWhere);
    lane.push_back({"receive", [=](Machine& m) {
                      return shm::arrived(m.word(kHead), copy) ? Outcome::done : Outcome::blocked;
                    }});
    if (!early) lane.push_back(where);
    lane.push_back(step(
        "open", readers_, copy,
        [=](Reader& end, Claims& mine, const Claims&) {
          end.begin(mine, copy, blocks);
          return true;
        },
        [next = lane.size() + 1](bool) { return next; }));
    if (early) lane.push_back(where);
    lane.push_back(unlessEnough(step(
        "claim", readers_, copy,
        [](Reader& end, Claims& mine, const Claims& theirs) { return end.claim(mine, theirs); },
        [=, this](shm::Turn turn) { return at + after(turn); })));
    lane.push_back({"copy", [=, this](Machine& m) {
                      Reader end = readers_.at(m.local(kEnd));
                      copyBlock(m, copy, end.next());
                      end.copied();
                      m.local(kEnd) = numberOf(readers_, end);
                      m.jump(at + kTake);
                      return Outcome::done;
                    }});
    lane.push_back(unlessEnough(step(
        "look whether it is complete", readers_, copy,
        [](Reader& end, Claims&, const Claims& theirs) { return end.complete(theirs); },
        [=, this](bool complete) {
          const bool goOn = complete || has(SharedCopyBug::completeNotAwaited);
          return at + (goOn ? kReturn : kComplete);
        })));
    lane.push_back({"read and return", [=](Machine& m) {
                      for (std::size_t b = 0; b < blocks; ++b)
                        Machine::check(m.read(target(b)) == payload(copy, b),
                                       "complete without a block");
                      Word credit = m.word(kCredit);
                      shm::consume(credit, copy);
                      return Outcome::done;
                    }});
    lane.push_back({"write to what is mine again", [=, this](Machine& m) {
                      scribble(m, target, blocks);
                      if (world_.givesUp) m.jump(at + kReceived + 4);  // past what gives up
                      return Outcome::done;
                    }});
  }

  ReceiverPlace after(shm::Turn turn) const {
    if (turn == shm::Turn::copy) return kTook;
    if (turn == shm::Turn::over) return kComplete;
    if (has(SharedCopyBug::readerTakesUndecided)) return kTook;
    return has(SharedCopyBug::readerLeavesUndecided) ? kComplete : kTake;
  }

  /// Between two calls the receiver may find that another transfer of it has failed.
  static Step unlessEnough(Step always) {
    return {always.name, [run = std::move(always.run)](Machine& m) {
              const bool between = m.local(ResumedCall::kFirstLocal) == 0;
              if (!between || m.local(kEnough) == 0) return run(m);
              m.jump(kReceived);
              return Outcome::done;
            }};
  }

  void addGivingUp(Lane& lane) {
    const std::size_t at = lane.size();
    lane.push_back({"fail", [](Machine& m) {
                      m.store(kFailed, 1, std::memory_order_release);
                      return Outcome::done;
                    }});
    lane.push_back(step(
        "close", readers_, 0,
        [](Reader& end, Claims& mine, const Claims&) {
          end.close(mine);
          return true;
        },
        [=](bool) { return at + 2; }));
    lane.push_back(step(
        "wait for quiet", readers_, 0,
        [](Reader& end, Claims&, const Claims& theirs) { return end.isQuiet(theirs); },
        [=, this](bool quiet) {
          return at + (quiet || has(SharedCopyBug::quietNotAwaited) ? 3 : 2);
        }));
    lane.push_back({"write to what is mine again", [this](Machine& m) {
                      scribble(m, target, world_.blocks[0]);
                      return Outcome::done;
                    }});
  }

  const SharedCopyWorld& world_;
  Program program_;
  mutable std::vector<Reader> readers_;
  mutable std::vector<Writer> writers_;
};

inline Report explore(const SharedCopyWorld& world) {
  return explore(SharedCopyProgram(world).program());
}

}  // namespace lockstep::model
