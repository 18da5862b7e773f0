#include "attack/attacker.hpp"

#include <array>
#include <chrono>
#include <map>
#include <random>
#include <stdexcept>
#include <thread>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack/shared_view.hpp"

namespace lockstep::testing {
namespace {

using shm::Protocol;

/// What crosses is short and lies in the first slots' beginnings; nothing beyond is worth a strike.
constexpr std::size_t kReach = 1200;

/// The loop of an attacker.
class Loop {
 public:
  Loop(const Segments& segments, int rank, int world, Assault assault, unsigned seed)
      : view_(viewOf(segments, rank, world)),
        others_(segments.readable),
        rank_(rank),
        assault_(assault),
        random_(seed),
        held_(draw()) {}

  [[noreturn]] void run() {
    shm::Word& word = heldWord();
    const std::uint64_t old = word.load();
    for (;;) {
      if (assault_ >= Assault::holdFlag) {
        for (int i = 0; i < 4096; ++i) word.store(old);
      } else {
        strike();
      }
      // Ranks need the cores more.
      std::this_thread::sleep_for(std::chrono::microseconds(any(100)));
    }
  }

 private:
  /// Only this rank's entry is ever used.
  static SharedView viewOf(const Segments& segments, int rank, int world) {
    std::vector<std::byte*> all(static_cast<std::size_t>(world));
    all[static_cast<std::size_t>(rank)] = segments.writable.at(0);
    return SharedView(std::move(all));
  }
  std::size_t any(std::size_t n) { return random_() % n; }
  /// A slot of a channel that this rank writes.
  Spot draw() {
    const auto protocol = static_cast<Protocol>(any(shm::kProtocols));
    Spot at{rank_, 0, protocol, any(shm::slotsOf(protocol))};
    do at.channel = static_cast<int>(any(ranks() + 1));
    while (at.channel == rank_);
    return at;
  }
  /// For a slot of a channel that it reads.
  shm::Word& drawCredit() {
    Spot at = draw();
    do at.writer = static_cast<int>(any(ranks()));
    while (at.writer == rank_);
    return view_.credit(at, rank_);
  }
  std::size_t ranks() const { return static_cast<std::size_t>(view_.world()); }

  shm::Word& heldWord() {
    if (assault_ == Assault::holdStatus) return view_.control(rank_).status.presence;
    return assault_ == Assault::holdCredit ? drawCredit() : view_.flag(held_);
  }

  /// What lies at the same place of another rank, or of another channel of this one.
  Bytes elsewhere(const Spot& at) {
    if (others_.empty() || any(2) == 0) return view_.read(draw(), kReach);
    std::vector<std::byte*> all(ranks(), others_[any(others_.size())]);
    return SharedView(std::move(all)).read(at, kReach);
  }

  /// Where a message has come, the one before it comes back. All slots of a channel.
  void replay(Spot at) {
    for (at.slot = 0; at.slot < shm::slotsOf(at.protocol); ++at.slot) {
      const std::uint64_t flag = view_.flag(at).load();
      if (flag == 0) continue;
      Kept& kept = kept_[at];
      if (flag == kept.flag) continue;
      const Bytes now = view_.read(at, kReach);
      if (kept.flag != 0) view_.write(at, kept.content);
      kept = {flag, now};
    }
  }

  void swap(const Spot& at) {
    Spot other = at;
    other.slot = any(shm::slotsOf(at.protocol));
    const Bytes mine = view_.read(at, kReach), theirs = view_.read(other, kReach);
    view_.write(at, theirs);
    view_.write(other, mine);
  }

  void strike() {
    const Spot at = draw();
    shm::ControlArea& control = view_.control(rank_);
    switch (assault_) {
      case Assault::flip:
        view_.at(at, any(any(2) == 0 ? 48 : kReach)) ^= std::byte{1} << any(8);
        break;
      case Assault::replay:
        replay(at);
        break;
      case Assault::swap:
        swap(at);
        break;
      case Assault::splice:
        view_.write(at, elsewhere(at));
        break;
      case Assault::cut:
        for (std::size_t i = any(kReach); i < kReach; ++i) view_.at(at, i) = {};
        break;
      case Assault::flags: {
        const std::uint64_t flag = view_.flag(at).load();
        view_.setFlags(at, flag == 0 ? at.slot : flag - 1 + shm::slotsOf(at.protocol));
        break;
      }
      case Assault::credits:
        drawCredit().store(std::uint64_t{1} << 40);
        break;
      case Assault::fingerprint:
        view_.setStamp(at, random_());
        break;
      case Assault::call: {
        shm::CallLine::Call& call = control.call.calls[any(control.call.calls.size())];
        const std::array words{&control.call.version, &control.call.sequence, &call.what,
                               &call.count, &control.call.transfers};
        words[any(words.size())]->store(any(2) == 0 ? random_() : any(4));
        break;
      }
      case Assault::status: {
        const std::array words{&control.status.presence, &control.status.errorCode,
                               &control.status.culprit, &control.status.witness,
                               &control.status.sequence};
        words[any(words.size())]->store(any(4) == 0 ? random_() : any(12));
        break;
      }
      case Assault::sleep:
        control.sleep.asleep.store(any(2));
        break;
      default: {  // control and credits are small, and lie before all channels
        const shm::Layout layout(view_.world());
        view_.segment(rank_)[any(any(2) == 0 ? layout.outArea(0) : layout.bytes())] =
            static_cast<std::byte>(random_());
      }
    }
  }

  struct Kept {
    std::uint64_t flag = 0;
    Bytes content;
  };
  SharedView view_;
  std::vector<std::byte*> others_;
  int rank_;
  Assault assault_;
  std::mt19937 random_;
  Spot held_;
  std::map<Spot, Kept> kept_;
};

}  // namespace

std::string_view name(Assault assault) {
  constexpr std::array<std::string_view, kAssaults> kNames{
      "bits",  "replays",  "slots swapped", "splices",       "ends cut off",
      "flags", "credits",  "fingerprints",  "calls",         "status",
      "sleep", "any byte", "a flag held",   "a credit held", "status held"};
  return kNames[static_cast<std::size_t>(assault)];
}

bool misleads(Assault assault) {
  return assault <= Assault::flags;
}

Attacker::Attacker(const Segments& segments, int rank, int world, Assault assault, unsigned seed) {
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  Loop(segments, rank, world, assault, seed).run();
}

Attacker::~Attacker() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace lockstep::testing
