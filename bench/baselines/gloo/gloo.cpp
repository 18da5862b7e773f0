// Gloo as a baseline: over TCP on the loopback interface, the only transport of Debian's package
// that reaches a process of the same host. Its ranks are those that ccbench starts, and they find
// each other through ccbench.
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/alltoall.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/config.h>
#include <gloo/gather.h>
#include <gloo/math.h>
#include <gloo/reduce.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/scatter.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/types.h>

#include "bench/baselines/baseline.hpp"
#include "bench/baselines/buffers.hpp"
#include <lockstep/types.hpp>

namespace lockstep::bench {
namespace {

/// As Gloo's collectives take it: output, two inputs, elements.
using GlooFunction = std::function<void(void*, const void*, const void*, std::size_t)>;

/// Calls `visit` with an element of the C++ type that Gloo computes with, and returns what it
/// returns; `missing` where Gloo has none (half a bfloat16 would be our code, not the rival's).
template <class Result, class Visit>
Result withElement(DataType type, Result missing, Visit visit) {
  switch (type) {
    case DataType::f16:
      return visit(gloo::float16());
    case DataType::f32:
      return visit(float());
    case DataType::f64:
      return visit(double());
    case DataType::i8:
      return visit(std::int8_t());
    case DataType::u8:
      return visit(std::uint8_t());
    case DataType::i32:
      return visit(std::int32_t());
    case DataType::u32:
      return visit(std::uint32_t());
    case DataType::i64:
      return visit(std::int64_t());
    case DataType::u64:
      return visit(std::uint64_t());
    default:
      return missing;
  }
}

/// Gloo's own loops, compiled as every program that calls Gloo compiles them; empty where it has
/// none (it has no average, and dividing afterwards would be our code).
template <class T>
GlooFunction functionOf(Reduction reduction) {
  using Plain = void (*)(void*, const void*, const void*, std::size_t);
  switch (reduction) {
    case Reduction::sum:
      return Plain(&gloo::sum<T>);
    case Reduction::prod:
      return Plain(&gloo::product<T>);
    case Reduction::min:
      return Plain(&gloo::min<T>);
    case Reduction::max:
      return Plain(&gloo::max<T>);
    default:
      return {};
  }
}

struct State {
  std::string error, version;
  std::shared_ptr<gloo::rendezvous::Context> context;
  std::uint32_t tag = 0;      ///< of the next call: the same on all ranks
  std::vector<char> scratch;  ///< where a reduce gathers on ranks that are not its root
};

State& state() {
  static State instance;
  return instance;
}

int refuse(const char* why) {
  state().error = why;
  return 1;
}

/// 0, or what kind of failure it was, with Gloo's own words kept for lastError.
template <class Body>
int guarded(Body body) {
  try {
    return body();
  } catch (const gloo::IoException& error) {  // a connection is gone, or silent for too long
    state().error = error.what();
    return kBaselinePeerGone;
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
}

/// What the ranks tell each other to meet. All tell as many things in the same order, so each is
/// an all-gather: no file and no server that could stay behind.
class GatheredStore final : public gloo::rendezvous::Store {
 public:
  explicit GatheredStore(const BaselineGroup& group) : group_(group) {}

  void set(const std::string& key, const std::vector<char>& value) override {
    std::vector<char> mine(key.begin(), key.end());
    mine.push_back('\0');
    mine.insert(mine.end(), value.begin(), value.end());
    const std::vector<std::size_t> sizes = gather(std::vector{mine.size()});
    const std::size_t widest = *std::max_element(sizes.begin(), sizes.end());
    mine.resize(widest);
    const std::vector<char> all = gather(mine);
    for (std::size_t r = 0; r < sizes.size(); ++r) {
      const std::string told(&all[r * widest], sizes[r]);
      const std::size_t end = told.find('\0');
      told_[told.substr(0, end)].assign(told.begin() + static_cast<std::ptrdiff_t>(end + 1),
                                        told.end());
    }
  }
  std::vector<char> get(const std::string& key) override { return told_.at(key); }
  void wait(const std::vector<std::string>&) override {}
  void wait(const std::vector<std::string>&, const std::chrono::milliseconds&) override {}

 private:
  template <class T>
  std::vector<T> gather(const std::vector<T>& mine) {
    std::vector<T> all(mine.size() * static_cast<std::size_t>(group_.worldSize));
    if (group_.allGather(group_.context, mine.data(), all.data(), mine.size() * sizeof(T)) != 0)
      throw gloo::IoException("the ranks could not meet");
    return all;
  }

  const BaselineGroup& group_;
  std::map<std::string, std::vector<char>> told_;
};

int init(const BaselineGroup* group) {
  if (group == nullptr) return refuse("Gloo has no launcher; ccbench starts its ranks");
  return guarded([&] {
    auto device = gloo::transport::tcp::CreateDevice("127.0.0.1");
    auto context = std::make_shared<gloo::rendezvous::Context>(group->rank, group->worldSize);
    context->setTimeout(std::chrono::milliseconds(group->timeoutMs));
    GatheredStore store(*group);
    context->connectFullMesh(store, device);
    state().context = std::move(context);
    return 0;
  });
}

int rank() {
  return state().context->rank;
}

int worldSize() {
  return state().context->size;
}

const char* describe() {
  state().version = "Gloo " + std::to_string(GLOO_VERSION_MAJOR) + '.' +
                    std::to_string(GLOO_VERSION_MINOR) + '.' + std::to_string(GLOO_VERSION_PATCH) +
                    ", TCP on the loopback interface";
  return state().version.c_str();
}

const char* lastError() {
  return state().error.c_str();
}

/// What is only moved may be of any type. Gloo's one reduce-scatter (ReduceScatterHalvingDoubling)
/// puts its result over what it may still be sending: wrong results from 128 KiB on, four ranks.
int supports(std::uint8_t collective, std::uint8_t type, std::uint8_t reduction) {
  if (collective >= kCollectives) return 0;  // sends and receives
  if (static_cast<Collective>(collective) == Collective::reduceScatter) return 0;
  if (!contractOf(static_cast<Collective>(collective)).reduces) return 1;
  return withElement(static_cast<DataType>(type), 0, [&](auto element) {
    return functionOf<decltype(element)>(static_cast<Reduction>(reduction)) ? 1 : 0;
  });
}

/// In place where Gloo lets the input be left out.
int takes(std::uint8_t collective, int inPlace) {
  switch (static_cast<Collective>(collective)) {
    case Collective::allReduce:
    case Collective::allGather:
    case Collective::broadcast:
    case Collective::reduce:
      return 1;
    default:
      return 1 - inPlace;
  }
}

void deallocate(void* memory) {
  std::free(memory);
}

/// What Lockstep is called with. In place: no `in`. The input is never written.
struct Call {
  char* in;
  char* out;
  std::size_t count;  ///< elements of a block
  std::size_t bytes;  ///< of a block
  DataType type;
  Reduction reduction;
  int root;

  std::size_t allBytes() const { return bytes * static_cast<std::size_t>(worldSize()); }
};

/// The two collectives that reduce in the newer interface take the same words.
template <class Options>
void fillReducing(Options& options, const Call& c, char* out) {
  withElement(c.type, 0, [&](auto element) {
    using T = decltype(element);
    if (c.in != nullptr) options.setInput(reinterpret_cast<T*>(c.in), c.count);
    options.setOutput(reinterpret_cast<T*>(out), c.count);
    options.setReduceFunction(functionOf<T>(c.reduction));
    return 0;
  });
}

void allReduce(gloo::AllreduceOptions options, const Call& c) {
  fillReducing(options, c, c.out);
  gloo::allreduce(options);
}

/// Gloo wants an output on every rank.
void reduce(gloo::ReduceOptions options, const Call& c) {
  std::vector<char>& scratch = state().scratch;
  if (c.out == nullptr && scratch.size() < c.bytes) scratch.resize(c.bytes);
  fillReducing(options, c, c.out != nullptr ? c.out : scratch.data());
  options.setRoot(c.root);
  gloo::reduce(options);
}

void allGather(gloo::AllgatherOptions options, const Call& c) {
  if (c.in != nullptr) options.setInput(c.in, c.bytes);
  options.setOutput(c.out, c.allBytes());
  gloo::allgather(options);
}

void allToAll(gloo::AlltoallOptions options, const Call& c) {
  options.setInput(c.in, c.allBytes());
  options.setOutput(c.out, c.allBytes());
  gloo::alltoall(options);
}

void broadcast(gloo::BroadcastOptions options, const Call& c) {
  if (c.in != nullptr) options.setInput(c.in, c.bytes);
  options.setOutput(c.out, c.bytes);
  options.setRoot(c.root);
  gloo::broadcast(options);
}

void gather(gloo::GatherOptions options, const Call& c) {
  options.setInput(c.in, c.bytes);
  if (c.out != nullptr) options.setOutput(c.out, c.allBytes());
  options.setRoot(c.root);
  gloo::gather(options);
}

void scatter(gloo::ScatterOptions options, const Call& c) {
  std::vector<char*> blocks;
  for (int r = 0; c.in != nullptr && r < worldSize(); ++r)
    blocks.push_back(c.in + static_cast<std::size_t>(r) * c.bytes);
  if (!blocks.empty()) options.setInputs(blocks, c.bytes);
  options.setOutput(c.out, c.bytes);
  options.setRoot(c.root);
  gloo::scatter(options);
}

void barrier(gloo::BarrierOptions options) {
  gloo::barrier(options);
}

/// Options of a call, with a tag that no call still under way has.
template <class Options>
Options tagged() {
  Options options(state().context);
  options.setTag(state().tag++);
  return options;
}

int runCall(Collective collective, const Call& c) {
  switch (collective) {
    case Collective::allReduce:
      return allReduce(tagged<gloo::AllreduceOptions>(), c), 0;
    case Collective::barrier:
      return barrier(tagged<gloo::BarrierOptions>()), 0;
    case Collective::allGather:
      return allGather(tagged<gloo::AllgatherOptions>(), c), 0;
    case Collective::allToAll:
      return allToAll(tagged<gloo::AlltoallOptions>(), c), 0;
    case Collective::broadcast:
      return broadcast(tagged<gloo::BroadcastOptions>(), c), 0;
    case Collective::reduce:
      return reduce(tagged<gloo::ReduceOptions>(), c), 0;
    case Collective::gather:
      return gather(tagged<gloo::GatherOptions>(), c), 0;
    case Collective::scatter:
      return scatter(tagged<gloo::ScatterOptions>(), c), 0;
    default:
      return refuse("Gloo has no such collective");
  }
}

int run(std::uint8_t number, const void* in, void* out, std::size_t count, std::uint8_t type,
        std::uint8_t reduction, int root) {
  const auto collective = static_cast<Collective>(number);
  if (!supports(number, type, reduction))
    return refuse("Gloo has no such collective, type or reduction");
  const std::size_t block = count * sizeOf(static_cast<DataType>(type));
  const bool oneBuffer = isInPlace(contractOf(collective), in, out, rank(), block);
  return guarded([&] {
    return runCall(collective,
                   {.in = oneBuffer ? nullptr : const_cast<char*>(static_cast<const char*>(in)),
                    .out = static_cast<char*>(out),
                    .count = count,
                    .bytes = block,
                    .type = static_cast<DataType>(type),
                    .reduction = static_cast<Reduction>(reduction),
                    .root = root});
  });
}

int finalize() {
  return guarded([] {
    state().context->closeConnections();
    return 0;
  });
}

constexpr BaselineModule kModule{kBaselineAbi,    init,       rank,     worldSize,
                                 describe,        lastError,  supports, takes,
                                 allocateAligned, deallocate, run,      finalize};

}  // namespace
}  // namespace lockstep::bench

extern "C" LOCKSTEP_API const lockstep::bench::BaselineModule* lockstepBaseline() {
  return &lockstep::bench::kModule;
}
