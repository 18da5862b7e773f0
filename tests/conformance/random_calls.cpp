#include "conformance/random_calls.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "base/cpu.hpp"
#include "base/mapping.hpp"
#include "collectives/registry.hpp"
#include "conformance/guards.hpp"
#include "conformance/random_exchange.hpp"
#include "conformance/trials.hpp"
#include "support/reference.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using Bytes = Known::Bytes;

constexpr std::byte kStaleByte{0x5c};
constexpr std::size_t kRecord = 16384, kLine = 64;

struct Blocks {
  std::size_t in = 1, out = 1;
};
Blocks blocksOf(Collective collective, std::size_t world) {
  const Contract& contract = contractOf(collective);
  return {contract.inPerRank ? world : 1, contract.outPerRank ? world : 1};
}

// ---- drawing ----

std::size_t drawCount(Draw& draw, const Limits& limits, std::size_t most, std::size_t element) {
  static constexpr std::size_t primes[] = {2, 3, 5, 7, 11, 13, 31, 61, 127, 251, 509, 1009, 4099};
  std::size_t count = 0;
  switch (draw.below(6)) {
    case 0:
      count = draw.below(3);
      break;
    case 1:
      count = primes[draw.below(std::size(primes))];
      break;
    case 2: {  // around a border, or a few of them
      const std::size_t border = limits.borders[draw.below(limits.borders.size())];
      count = border * (1 + draw.below(3)) / element + draw.below(3);
      count -= std::min<std::size_t>(count, 1);
      break;
    }
    case 3:
      count = draw.below(draw.chance(6) ? most + 1 : 2000);
      break;
    default:
      count = draw.below(80);
  }
  return std::min(count, most);
}

/// Nothing of it depends on the others: a rank that is late now and then.
void dawdle(Draw& own) {
  const std::size_t dice = own.below(48);
  if (dice == 0) std::this_thread::sleep_for(std::chrono::microseconds(own.below(400)));
  if (dice == 1 || dice == 2) std::this_thread::yield();
  if (dice >= 3 && dice < 9)
    for (std::size_t left = own.below(2000); left != 0; --left) cpuRelax();
}

// ---- reference ----

/// Block `block` of rank `rank`'s input.
Bytes blockOf(const RandomCall& call, std::size_t rank, std::size_t block) {
  return randomElements(call.type, call.count, call.seed + rank * 64 + block);
}

/// The reductions, block after block: of ranks' inputs with the same number.
void reduceInto(Known& known, const RandomCall& call, std::size_t world) {
  std::vector<Bytes> terms = known.inputs;
  if (call.reduction == Reduction::preMulSum)
    for (std::size_t rank = 0; rank < world; ++rank)
      scaleExactly(call.type, someFactor(call.type, static_cast<int>(rank)), terms[rank].data(),
                   terms[rank].size() / sizeOf(call.type), terms[rank].data());
  std::vector<const void*> sources;
  for (const Bytes& term : terms) sources.push_back(term.data());
  const std::size_t block = call.count * sizeOf(call.type);
  const std::size_t count = call.count * blocksOf(call.collective, world).in;
  const int divisor = call.reduction == Reduction::avg ? static_cast<int>(world) : 1;
  Bytes all(count * sizeOf(call.type));
  foldExactly(call.type, call.reduction, sources, count, divisor, all.data());
  const Contract& contract = contractOf(call.collective);
  for (std::size_t rank = 0; rank < world; ++rank) {
    if (contract.outAtRoot && static_cast<int>(rank) != call.root) continue;
    const std::byte* from = all.data() + (contract.inPerRank ? rank * block : 0);
    known.expected[rank].assign(from, from + block);
  }
  if (!isFloat(call.type)) return;
  Bytes inDouble(all.size());
  foldInDouble(call.type, call.reduction, sources, count, divisor, inDouble.data());
  for (std::size_t i = 0; i < count; ++i)
    known.near.push_back(elementAsDouble(call.type, inDouble.data(), i));
  known.tolerance = orderTolerances(call.type, call.reduction, sources, count, inDouble.data());
}

/// Block b of `out` is what rank b, or the root, has for this rank.
void moveInto(Known& known, const RandomCall& call, std::size_t world) {
  const Contract& contract = contractOf(call.collective);
  const std::size_t block = call.count * sizeOf(call.type);
  for (std::size_t rank = 0; rank < world; ++rank) {
    if (contract.outAtRoot && static_cast<int>(rank) != call.root) continue;
    const std::size_t home = contract.inPerRank ? rank : 0;
    for (std::size_t b = 0; b < blocksOf(call.collective, world).out; ++b) {
      const auto giver = contract.outPerRank ? b : static_cast<std::size_t>(call.root);
      const std::byte* from = known.inputs[giver].data() + home * block;
      known.expected[rank].insert(known.expected[rank].end(), from, from + block);
    }
  }
}

}  // namespace

std::string RandomCall::name() const {
  return fmt::format("{} of {} {}, {}, root {}, seed {}", lockstep::name(collective), count,
                     lockstep::name(type), lockstep::name(reduction), root, seed);
}

RandomCall drawCall(Draw& draw, const Limits& limits) {
  RandomCall call;
  const auto world = static_cast<std::size_t>(limits.worldSize);
  call.collective = static_cast<Collective>(draw.below(kCollectives));
  call.type = static_cast<DataType>(draw.below(kDataTypes));
  call.reduction = static_cast<Reduction>(draw.below(kReductions));
  if (contractOf(call.collective).rooted) call.root = static_cast<int>(draw.below(world));
  const Blocks blocks = blocksOf(call.collective, world);
  const std::size_t element = sizeOf(call.type);
  call.count = drawCount(draw, limits, limits.mostBytes / std::max(blocks.in, blocks.out) / element,
                         element);
  call.seed = draw.seed();
  return call;
}

Known knownOf(const RandomCall& call, int worldSize) {
  const auto world = static_cast<std::size_t>(worldSize);
  const Contract& contract = contractOf(call.collective);
  Known known;
  if (!contract.hasData) return known;
  known.inputs.resize(world);
  known.expected.resize(world);
  for (std::size_t rank = 0; rank < world; ++rank) {
    if (contract.inAtRoot && static_cast<int>(rank) != call.root) continue;
    for (std::size_t block = 0; block < blocksOf(call.collective, world).in; ++block) {
      const Bytes bytes = blockOf(call, rank, block);
      known.inputs[rank].insert(known.inputs[rank].end(), bytes.begin(), bytes.end());
    }
  }
  contract.reduces ? reduceInto(known, call, world) : moveInto(known, call, world);
  return known;
}

// ---- a rank ----

Caller::Caller(Communicator& communicator, Entered& entered, std::size_t mostBytes)
    : communicator_(communicator),
      entered_(entered),
      rank_(static_cast<std::size_t>(communicator.rank())),
      world_(static_cast<std::size_t>(communicator.worldSize())),
      mostBytes_(mostBytes),
      room_(mostBytes + 2 * kGuard + 2 * kLine) {
  for (Buffer& buffer : registered_) buffer = communicator_.alloc(room_);
  for (auto& buffer : ordinary_) buffer.resize(room_ + kLine);
}

/// Room for a guard and a buffer, in memory that other ranks read in place or not, somewhere past a
/// cache line.
std::byte* Caller::memory(int which, Draw& own, std::size_t element) {
  std::byte* begin = static_cast<std::byte*>(registered_[which].data());
  if (own.chance(2)) {
    const auto address = reinterpret_cast<std::uintptr_t>(ordinary_[which].data());
    begin = ordinary_[which].data() + (kLine - address % kLine) % kLine;
  }
  return begin + kGuard + own.of<std::size_t>({0, 0, element, 1, 24, kLine - 1});
}

Caller::Operands Caller::place(const RandomCall& call, const Known& known, Draw& own) {
  const std::size_t size = sizeOf(call.type), block = call.count * size;
  const Blocks blocks = blocksOf(call.collective, world_);
  const Contract& contract = contractOf(call.collective);
  const bool root = communicator_.rank() == call.root;
  const bool hasIn = !contract.inAtRoot || root, hasOut = !contract.outAtRoot || root;
  Operands o;
  o.inPlace = own.chance(2) && hasIn && hasOut;
  std::byte* const first = memory(0, own, size);
  std::byte* const second = memory(1, own, size);
  // In place, the larger buffer holds the smaller one as this rank's own block.
  const std::size_t ownBlock = rank_ * block;
  if (hasIn) o.in = o.inPlace && blocks.out > blocks.in ? first + ownBlock : first;
  if (hasOut) o.out = !o.inPlace ? second : blocks.in > blocks.out ? first + ownBlock : first;
  if (hasOut) {
    std::byte* const larger = o.inPlace ? first : o.out;
    const std::size_t bytes = block * (o.inPlace ? std::max(blocks.in, blocks.out) : blocks.out);
    std::fill_n(larger, bytes, kStaleByte);
    guardAround(larger, bytes);
  }
  if (hasIn) {
    const Bytes& input = known.inputs[rank_];
    std::copy(input.begin(), input.end(), o.in);
    if (!o.inPlace) guardAround(o.in, input.size());
  }
  return o;
}

void Caller::make(const RandomCall& call, const Known& known) {
  Draw own(call.seed * 64 + rank_);
  dawdle(own);
  if (!contractOf(call.collective).hasData) return barrier();
  const Operands o = place(call, known, own);
  this->call(call, o, own);
  const Bytes& input = known.inputs[rank_];
  if (o.in != nullptr && !o.inPlace) {
    checkGuards(o.in, input.size());
    require(std::equal(input.begin(), input.end(), o.in), "in was changed");
  }
  if (o.out == nullptr) return;
  const std::size_t outBytes = known.expected[rank_].size();
  if (o.inPlace && input.size() > outBytes)  // `out` is one block of `in`
    checkGuards(o.in, input.size());
  else
    checkGuards(o.out, outBytes);
  check(call, known, o.out);
}

/// With an exchange before it, if the seed says so: that all know, and how they go about it is each
/// rank's own affair.
void Caller::call(const RandomCall& call, const Operands& o, Draw& own) {
  const double factor = someFactor(call.type, communicator_.rank());
  std::optional<RandomExchange> exchange;
  if (call.seed % 3 == 0)
    exchange.emplace(call.seed, communicator_, mostBytes_, memory(2, own, 1), memory(3, own, 1),
                     own.seed());
  Group group;
  const bool ahead = exchange && own.chance(2);  // and waited for when the call is over
  if (exchange && !ahead && own.chance(2))
    exchange->make(communicator_);
  else if (exchange)
    exchange->add(group, communicator_);
  Work before;
  if (ahead) before = group.start();
  if (own.chance(2)) {
    group.run(communicator_, call.collective, o.in, o.out, call.count, call.type, call.reduction,
              call.root, factor);
    Work work = group.start();
    while (!own.chance(4) && !work.test()) dawdle(own);
    work.wait();
  } else {
    group.start().wait();
    communicator_.run(call.collective, o.in, o.out, call.count, call.type, call.reduction,
                      call.root, factor);
  }
  before.wait();
  if (exchange) exchange->check();
}

void Caller::barrier() {
  entered_.ranks.fetch_add(1);
  communicator_.barrier();
  require(entered_.ranks.load() >= ++barriers_ * world_,
          "a barrier let this rank through before all had entered");
}

/// Whether it is reduced in rank order whichever memory its ranks have.
bool Caller::inRankOrder(const RandomCall& call) const {
  const Options& options = communicator_.options();
  if (options.mode == Mode::ccMasked && !options.reproducible && isFloat(call.type) &&
      call.collective == Collective::allReduce)
    return false;  // masked, in fixed point
  const auto isSo = [&](bool registered) {
    const Plan plan = communicator_.plan(call.collective, call.count, call.type, registered);
    for (const schedule::Algorithm* a : schedule::algorithms())
      if (a->collective == call.collective && a->name == plan.algorithm) return a->rankOrder;
    return false;
  };
  return isSo(true) && isSo(false);
}

void Caller::check(const RandomCall& call, const Known& known, const std::byte* out) {
  const Bytes& expected = known.expected[rank_];
  const bool reduces = contractOf(call.collective).reduces;
  if (known.near.empty() || !reduces || inRankOrder(call)) {
    const auto wrong = std::mismatch(expected.begin(), expected.end(), out).first;
    if (wrong == expected.end()) return;
    const auto element = static_cast<std::size_t>(wrong - expected.begin()) / sizeOf(call.type);
    throw std::runtime_error(fmt::format("element {} is {}, not {}", element,
                                         elementAsDouble(call.type, out, element),
                                         elementAsDouble(call.type, expected.data(), element)));
  }
  const std::size_t from = contractOf(call.collective).inPerRank ? rank_ * call.count : 0;
  for (std::size_t i = 0; i < call.count; ++i) {
    const double got = elementAsDouble(call.type, out, i), want = known.near[from + i];
    const double tolerance = known.tolerance[from + i];
    require(std::isinf(tolerance) || std::fabs(got - want) <= tolerance,
            fmt::format("element {} is {}, not {} within {}", i, got, want, tolerance));
  }
  if (call.collective == Collective::allReduce) requireAgreement(call, out);
}

/// All ranks have the same bits, whatever order that is: the least and the greatest of their hashes
/// are equal.
void Caller::requireAgreement(const RandomCall& call, const std::byte* out) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (std::size_t i = 0; i < call.count * sizeOf(call.type); ++i)
    hash = (hash ^ std::to_integer<std::uint64_t>(out[i])) * 0x100000001b3;
  std::array<std::uint64_t, 2> least{hash, ~hash};
  communicator_.allReduce(least.data(), least.data(), least.size(), DataType::u64, Reduction::min);
  require(least[0] == ~least[1], "ranks have results of different bits");
}

// ---- sessions ----

namespace {

int drawWorld(Draw& draw, bool processes) {
  if (processes) return 2 + static_cast<int>(draw.below(4));
  return draw.chance(12) ? 16 : 1 + static_cast<int>(draw.below(8));
}

/// A rule for each collective, of any algorithm, protocol, tile and depth that the mode allows.
std::string drawTuning(Draw& draw, Mode mode, std::vector<std::size_t>& borders) {
  std::string rules;
  for (std::size_t c = 0; c < kCollectives; ++c) {
    const auto collective = static_cast<Collective>(c);
    std::vector<const schedule::Algorithm*> mine;
    for (const schedule::Algorithm* a : schedule::algorithms())
      if (a->collective == collective && (a->edges == schedule::Edges::channels || !isSealed(mode)))
        mine.push_back(a);
    const schedule::Algorithm& a = *mine[draw.below(mine.size())];
    const bool exposes = a.edges == schedule::Edges::exposure;
    const std::size_t tile = draw.of<std::size_t>({64, 192, 1000, 4096, 16384, 65536});
    borders.push_back(tile);
    rules += fmt::format(
        R"({}{{"op": "{}", "modes": ["{}"], "algorithm": "{}", "protocol": "{}", "tile_bytes": {},
           "depth": {}}})",
        rules.empty() ? "" : ",\n", name(collective), name(mode), a.name,
        exposes ? "zero_copy" : draw.of({"ll", "simple"}), tile, 1 + draw.below(8));
  }
  return fmt::format(R"({{"version": 1, "rules": [{}]}})", rules);
}

/// Of what is forced by name, only what some collectives have with every protocol, and reproducible
/// communicators allow.
void drawForced(Draw& draw, Options& options) {
  if (draw.chance(2)) {
    std::vector<std::string_view> all;
    for (const schedule::Algorithm* a : schedule::algorithms())
      if (a->edges == schedule::Edges::channels) all.push_back(a->name);
    options.algorithm = all[draw.below(all.size())];
    if (options.reproducible) options.algorithm = draw.of({"", "one_shot", "two_shot", "direct"});
    options.protocol = draw.of({"", "ll", "simple"});
  } else {
    options.protocol =
        isSealed(options.mode) ? draw.of({"ll", "simple"}) : draw.of({"ll", "simple", "zero_copy"});
  }
}

}  // namespace

std::string Session::name() const {
  return fmt::format(
      "seed {}: {} ranks as {}, mode {}, algorithm '{}', protocol '{}', {} attach{}\n{}", seed,
      worldSize,
      processes ? "processes"
      : sockets ? "sockets"
                : "threads",
      lockstep::name(options.mode), options.algorithm, options.protocol,
      options.crossMemoryAttach ? "with" : "without", options.reproducible ? ", reproducible" : "",
      tuning);
}

Session drawSession(std::uint64_t seed, std::size_t calls) {
  Draw draw(seed);
  Session session;
  session.seed = seed;
  session.processes = draw.chance(5);
  session.sockets = !session.processes && draw.chance(8);
  session.worldSize = drawWorld(draw, session.processes || session.sockets);
  session.options = optionsOf(static_cast<Mode>(draw.below(kModes)));
  session.options.crossMemoryAttach = !draw.chance(3);
  session.options.reproducible = draw.chance(4);
  session.mostBytes = session.worldSize > 8 ? 32768 : 131072;
  Limits limits{session.worldSize, session.mostBytes, {kLine, 8192, kRecord, 32768, 65536}};
  if (draw.chance(3))
    drawForced(draw, session.options);
  else if (!draw.chance(4))
    session.tuning = drawTuning(draw, session.options.mode, limits.borders);
  for (std::size_t i = 0; i < calls; ++i) session.calls.push_back(drawCall(draw, limits));
  return session;
}

std::string failureOf(const Session& session) {
  std::vector<Known> known;
  for (const RandomCall& call : session.calls) known.push_back(knownOf(call, session.worldSize));
  Options options = session.options;
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("lockstep-session-{}", ::getpid());
  if (!session.tuning.empty()) {
    std::ofstream(path) << session.tuning;
    options.tuningFile = path;
  }
  const Shared<Entered> entered;
  const auto play = [&](Kind kind) {
    return runRanks(kind, session.worldSize, options, [&](Communicator& communicator, int) {
      Caller caller(communicator, *entered, session.mostBytes);
      for (std::size_t i = 0; i < session.calls.size(); ++i) try {
          caller.make(session.calls[i], known[i]);
        } catch (const std::exception& error) {
          throw std::runtime_error(
              fmt::format("call {}, {}: {}", i, session.calls[i].name(), error.what()));
        }
    });
  };
  // The thread that serves a meeting point outlives it, and this process is to fork again.
  const auto playInAChild = [&](int) {
    const auto outcomes = play(Kind::sockets);
    require(failures(outcomes).empty(), failures(outcomes));
  };
  const auto outcomes = session.sockets ? playRanks(Kind::processes, 1, playInAChild)
                                        : play(session.processes ? Kind::processes : Kind::threads);
  if (!session.tuning.empty()) std::filesystem::remove(path);
  const std::string failure = failures(outcomes);
  return failure.empty() ? failure : session.name() + '\n' + failure;
}

}  // namespace lockstep::testing
