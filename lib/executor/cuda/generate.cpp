#include "executor/cuda/generate.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "cc_mode/secure_pass.hpp"
#include "executor/cuda/counts.hpp"
#include "executor/cuda/fold.hpp"
#include "executor/prepare.hpp"

namespace lockstep::cuda {
namespace {

using schedule::BufferName;
using schedule::Op;
using schedule::Operand;
using schedule::OpKind;
using schedule::Schedule;

const char* tagOf(DataType type) {
  constexpr const char* kTags[]{"F16", "BF16", "F32", "F64", "I8",     "U8",
                                "I32", "U32",  "I64", "U64", "F8E4M3", "F8E5M2"};
  return kTags[static_cast<std::size_t>(type)];
}

const char* tagOf(Reduction reduction) {
  switch (reduction) {
    case Reduction::prod:
      return "Prod";
    case Reduction::min:
      return "Min";
    case Reduction::max:
      return "Max";
    default:
      return "Sum";  // avg divides at the end, preMulSum multiplies before
  }
}

/// Shapes of operands that are written in different words.
enum class Sort { in, out, scratch, peersIn, peersOut, message, everyone };

Sort sortOf(const Operand& o) {
  if (o.kind == Operand::Kind::channel)
    return o.channel.reader == schedule::kEveryone ? Sort::everyone : Sort::message;
  if (o.buffer == BufferName::scratch) return Sort::scratch;
  const bool mine = o.rank == schedule::kSelf;
  if (o.buffer == BufferName::in) return mine ? Sort::in : Sort::peersIn;
  return mine ? Sort::out : Sort::peersOut;
}

class Generator {
 public:
  explicit Generator(const KernelRequest& request)
      : request_(request),
        numbers_(request.worldSize, contractOf(request.algorithm->collective).rooted) {
    const Contract& contract = contractOf(request.algorithm->collective);
    allRoots_ = contract.rooted && request.worldSize <= kMaxRoots;
    reduces_ = contract.reduces;
    premultiplies_ = reduces_ && request.reduction == Reduction::preMulSum;
    // Products are apart from both buffers.
    const bool inPlace = request.inPlace && !premultiplies_;
    if (request.rmsNorm && (request.algorithm->collective != Collective::allReduce ||
                            !isNormalised(request.type) || request.reduction != Reduction::sum))
      fail(ErrorCode::unsupported, "RMSNorm follows an all-reduce that sums f32, f16 or bf16");
    if (isSealed(request.mode) && request.protocol == Protocol::ll)
      fail(ErrorCode::invalidArgument, "sealed kernels have protocol simple, not ll");
    const int first = contract.rooted && !allRoots_ ? request.root : 0;
    const int last = allRoots_ ? request.worldSize : first + 1;
    for (int root = first; root < last; ++root)
      schedules_.push_back(
          prepareSchedule(*request.algorithm, request.mode, request.worldSize, inPlace, root));
    if (premultiplies_ && schedules_.front().exposes)
      fail(ErrorCode::unsupported, "{} reads buffers as they are, and so has no premultiplied sum",
           request.algorithm->name);
    for (const Schedule& schedule : schedules_)
      for (int rank = 0; rank < request.worldSize; ++rank) addInstance(schedule, rank);
  }

  Kernel build() {
    const Schedule& schedule = schedules_.front();
    Kernel kernel;
    kernel.name = nameOf();
    kernel.worldSize = request_.worldSize;
    kernel.chunks = std::max(schedule.chunks, 1U);
    kernel.scratchChunks = 0;
    for (const Schedule& s : schedules_)
      kernel.scratchChunks = std::max(kernel.scratchChunks, s.scratchChunks);
    productsAt_ = kernel.scratchChunks;
    if (premultiplies_) kernel.scratchChunks += inBlocks() * kernel.chunks;
    kernel.exposes = schedule.exposes;
    kernel.sealed = isSealed(request_.mode);
    kernel.elementBytes = elementBytesOf(request_);
    chunks_ = kernel.chunks;
    for (const Instance& instance : instances_) measure(*instance.program, kernel);
    kernel.threads = threadsFor(kernel);
    const std::string body = programs();
    const std::string counts = countsText();
    kernel.text = fmt::format(kText, heading(), numbers_.definitions(), counts, laneType(kernel),
                              moverType(), body, kernel.name,
                              kernel.sealed    ? "sealed"
                              : kernel.exposes ? "switch"
                                               : "move",
                              kernel.sealed ? "Move::Sealing" : "lockstep::device::NoSealing",
                              prologue(), epilogue(), extras());
    return kernel;
  }

 private:
  /// A namespace of its own, since one module has many kernels.
  static constexpr const char* kText = R"(// {0}
#include "executor/cuda/prelude/kernel.cuh"
#include "executor/cuda/prelude/{7}.cuh"
{11}
namespace lockstep::device::{6}_parts {{

{1}
{2}
{3}
{4}

LOCKSTEP_INLINE void program(ThisLane& lane, u32 divisor, u32 root) {{
{5}}}

}}  // namespace lockstep::device::{6}_parts

LOCKSTEP_KERNEL({6}) {{
  using namespace lockstep::device::{6}_parts;
  lockstep::device::runKernel<ThisLane, Counts, {8}, {9}, {10}>(launch, program);
}}
)";

  void addInstance(const Schedule& schedule, int rank) {
    const schedule::Program& program = schedule.programs[static_cast<std::size_t>(rank)];
    const int root = schedule.shape.root;
    if (program.lanes.size() > 1)
      fail(ErrorCode::unsupported, "{} has {} lanes in a program; a kernel runs one",
           request_.algorithm->name, program.lanes.size());
    instances_.push_back({rank, root, &program});
    counts_.add(instances_.back());
  }

  void measure(const schedule::Program& program, Kernel& kernel) const {
    for (const schedule::Lane& lane : program.lanes)
      for (const Op& op : lane) {
        // Sources are staged by their place, then the result.
        const auto staged = static_cast<std::uint32_t>(op.src.size()) + 1;
        for (const auto* operands : {&op.dst, &op.src})
          for (const Operand& o : *operands) {
            if (o.kind != Operand::Kind::channel) continue;
            kernel.messageChunks = std::max(kernel.messageChunks, chunksIn(o.range));
            kernel.messageBlocks = std::max(kernel.messageBlocks, blocksIn(o.range));
          }
        if (kernel.sealed) kernel.staged = std::max(kernel.staged, staged);
      }
  }
  /// Many threads hide the latency of memory; an operation of many operands, lines with flags, or a
  /// cipher need more registers than 512 threads leave each (128).
  unsigned threadsFor(const Kernel& kernel) const {
    constexpr std::size_t kFewOperands = 8;
    std::size_t most = 0;
    for (const Instance& instance : instances_)
      for (const schedule::Lane& lane : instance.program->lanes)
        for (const Op& op : lane) most = std::max(most, op.dst.size() + op.src.size());
    return kernel.sealed || request_.protocol == Protocol::ll || most > kFewOperands ? 256 : 512;
  }
  std::uint32_t blocksIn(const schedule::Range& range) const {
    return chunks_ == 1 ? range.chunks : 1;
  }
  std::uint32_t chunksIn(const schedule::Range& range) const {
    return chunks_ == 1 ? 1 : range.chunks;
  }

  // ---- text ----

  std::string nameOf() const {
    std::string name = fmt::format("lockstep_{}_{}", lockstep::name(request_.algorithm->collective),
                                   request_.algorithm->name);
    if (schedules_.front().exposes) name += "_exposed";
    if (reduces_)
      name += fmt::format("_{}_{}{}", lockstep::name(request_.type),
                          premultiplies_ ? "PreMulSum" : tagOf(request_.reduction),
                          request_.oneNan ? "_one_nan" : "");
    if (request_.rmsNorm) name += "_rms_norm";
    name += fmt::format("_{}_{}{}_{}", lockstep::name(request_.mode),
                        request_.protocol == Protocol::ll ? "ll" : "simple",
                        request_.inPlace && !premultiplies_ ? "_in_place" : "", request_.worldSize);
    if (contractOf(request_.algorithm->collective).rooted && !allRoots_)
      name += fmt::format("_root_{}", request_.root);
    std::ranges::replace(name, '-', '_');
    return name;
  }
  std::string heading() const {
    return fmt::format("{} {}, {} ranks, {}", lockstep::name(request_.algorithm->collective),
                       request_.algorithm->name, request_.worldSize, lockstep::name(request_.mode));
  }
  static bool isNormalised(DataType type) {
    return type == DataType::f32 || type == DataType::f16 || type == DataType::bf16;
  }
  std::uint32_t inBlocks() const {
    return contractOf(request_.algorithm->collective).inPerRank
               ? static_cast<std::uint32_t>(request_.worldSize)
               : 1;
  }
  std::string prologue() const {
    if (!premultiplies_) return "lockstep::device::NoPrologue";
    return fmt::format("lockstep::device::Premultiply<lockstep::device::{}, {}, {}>", elementType(),
                       productsAt_, inBlocks());
  }
  std::string epilogue() const {
    if (!request_.rmsNorm) return "lockstep::device::NoEpilogue";
    return fmt::format("lockstep::device::RmsNorm<lockstep::device::{}>", elementType());
  }
  std::string extras() const {
    std::string text;
    if (premultiplies_) text += "#include \"executor/cuda/prelude/premultiply.cuh\"\n";
    if (request_.rmsNorm) text += "#include \"executor/cuda/prelude/rms_norm.cuh\"\n";
    return text;
  }
  std::string elementType() const { return reduces_ ? tagOf(request_.type) : "U8"; }
  const char* protocolName() const { return request_.protocol == Protocol::ll ? "ll" : "simple"; }

  std::string laneType(const Kernel& kernel) const {
    return fmt::format("using ThisLane = Lane<{}, {}, {}, Protocol::{}, {}>;", request_.worldSize,
                       chunks_, kernel.elementBytes, protocolName(), kernel.sealed);
  }
  std::string moverType() const {
    const char* mover = request_.protocol == Protocol::ll ? "LineMover" : "Mover";
    if (isSealed(request_.mode)) mover = "SealedMover";
    return fmt::format("using Move = {}<Arithmetic<{}, {}, {}>, {}>;", mover, elementType(),
                       reduces_ ? tagOf(request_.reduction) : "Sum", request_.oneNan,
                       isMulticast(request_.mode));
  }

  std::string programs() {
    std::string text = fmt::format("  constexpr u32 kWorld = {};\n  const u32 r = lane.rank();\n",
                                   request_.worldSize);
    text += "  const u32 place = (r + kWorld - root) % kWorld;\n";
    const std::vector<Class> classes = classesOf(instances_);
    std::vector<std::uint32_t> which;
    for (const Instance& instance : instances_)
      for (std::size_t c = 0; c < classes.size(); ++c)
        for (const Instance& member : classes[c])
          if (member.program == instance.program) which.push_back(static_cast<std::uint32_t>(c));
    if (classes.size() == 1) return text + ignored() + program(classes.front());
    text += fmt::format("  switch ({}) {{\n", numbers_.expression(instances_, which));
    for (std::size_t c = 0; c < classes.size(); ++c)
      text += fmt::format("  case {}: {{\n{}  }} break;\n", c, program(classes[c]));
    return text + "  }\n" + ignored();
  }
  /// Not every program uses them.
  static const char* ignored() { return "  (void)place, (void)root, (void)divisor;\n"; }

  std::string program(const Class& members) {
    if (members.front().program->lanes.empty()) return {};
    std::string text;
    const std::size_t ops = members.front().program->lanes.front().size();
    for (std::size_t i = 0; i < ops;) {
      const std::size_t n = runLength(members, i, ops);
      text += n == 1 ? operation(members, i) : loop(members, i, n);
      i += n;
    }
    return text;
  }

  static const Op& opOf(const Instance& instance, std::size_t index) {
    return instance.program->lanes.front()[index + static_cast<std::size_t>(instance.step)];
  }

  /// Operations from `index` on that are written alike but for numbers, on every rank.
  static std::size_t runLength(const Class& members, std::size_t index, std::size_t ops) {
    const OpKind kind = opOf(members.front(), index).kind;
    if (kind != OpKind::move && kind != OpKind::forward) return 1;
    std::size_t n = 1;
    while (index + n < ops && std::ranges::all_of(members, [&](const Instance& instance) {
             return alike(opOf(instance, index), opOf(instance, index + n));
           }))
      ++n;
    return n;
  }
  static bool alike(const Op& a, const Op& b) {
    const auto sameSorts = [](const Operand& x, const Operand& y) {
      return sortOf(x) == sortOf(y);
    };
    return a.kind == b.kind && a.finish == b.finish &&
           std::ranges::equal(a.dst, b.dst, sameSorts) &&
           std::ranges::equal(a.src, b.src, sameSorts);
  }
  std::string loop(const Class& members, std::size_t index, std::size_t n) {
    Class steps;
    for (std::size_t step = 0; step < n; ++step)
      for (Instance member : members) {
        member.step = static_cast<int>(step);
        steps.push_back(member);
      }
    return fmt::format("  LOCKSTEP_NO_UNROLL\n  for (u32 step = 0; step < {}; ++step)\n{}", n,
                       operation(steps, index));
  }

  std::string operation(const Class& members, std::size_t index) {
    const Op& op = opOf(members.front(), index);
    switch (op.kind) {
      case OpKind::expose:
        return "  lane.expose();\n";
      case OpKind::acquire:
        return "  lane.acquire();\n";
      case OpKind::release:
        return "  lane.release();\n";
      case OpKind::close:
        return "  lane.close();\n";
      case OpKind::move:
      case OpKind::forward:
        break;
    }
    std::string text =
        fmt::format("  {{  // rank {}: {}\n", members.front().rank, schedule::toString(op));
    text += ends("dst", members, index, &Op::dst);
    text += ends("src", members, index, &Op::src);
    if (op.kind == OpKind::forward)
      for (const Operand& o : op.dst)
        if (sortOf(o) == Sort::everyone)
          fail(ErrorCode::unsupported, "{} forwards to everyone at once; a kernel to one reader",
               request_.algorithm->name);
    const char* divisor = op.finish && reduces_ ? "divisor" : "1";
    if (const std::string bySwitch = switchMove(members, index); !bySwitch.empty())
      return text + fmt::format("    {}(lane, {}, {}, own, mine, dst, src);\n  }}\n", bySwitch,
                                piece(members, index), divisor);
    const char* verb = op.kind == OpKind::forward && isSealed(request_.mode) ? "forward" : "run";
    return text + fmt::format("    Move::{}(lane, {}, {}, dst, src);\n  }}\n", verb,
                              piece(members, index), divisor);
  }

  /// Where all ranks' buffers are exposed and an operation takes the same part of everyone's, or
  /// puts it into everyone's, a switch can do it. Empty: it cannot.
  std::string switchMove(const Class& members, std::size_t index) {
    if (!isMulticast(request_.mode) || !schedules_.front().exposes || request_.oneNan) return {};
    const auto all = [&](const Instance& instance, std::vector<Operand> Op::*side,
                         BufferName buffer) {
      const std::vector<Operand>& operands = opOf(instance, index).*side;
      return operands.size() == static_cast<std::size_t>(request_.worldSize) &&
             std::ranges::all_of(operands, [&](const Operand& o) {
               return o.kind == Operand::Kind::memory && o.buffer == buffer &&
                      o.range == operands.front().range;
             });
    };
    const auto own = [&](const Instance& instance, std::vector<Operand> Op::*side,
                         BufferName buffer) {
      const std::vector<Operand>& operands = opOf(instance, index).*side;
      return operands.size() == 1 && operands[0].kind == Operand::Kind::memory &&
             operands[0].buffer == buffer && operands[0].rank == schedule::kSelf;
    };
    const auto every = [&](auto test) { return std::ranges::all_of(members, test); };
    const bool gathers = every([&](const Instance& i) { return all(i, &Op::src, BufferName::in); });
    const bool spreads =
        every([&](const Instance& i) { return all(i, &Op::dst, BufferName::out); });
    if (request_.worldSize < 2 || (!gathers && !spreads)) return {};
    if (!gathers && !every([&](const Instance& i) { return own(i, &Op::src, BufferName::in); }))
      return {};
    if (!spreads && !every([&](const Instance& i) { return own(i, &Op::dst, BufferName::out); }))
      return {};
    return fmt::format(
        "const End own = {}, mine = {};\n    "
        "SwitchMover<Arithmetic<{}, {}, false>, {}, {}>::run",
        ownEnd(members, index, &Op::dst), ownEnd(members, index, &Op::src), elementType(),
        reduces_ ? tagOf(request_.reduction) : "Sum", gathers, spreads);
  }
  /// This rank's operand among those of all.
  std::string ownEnd(const Class& members, std::size_t index, std::vector<Operand> Op::*side) {
    std::vector<const Operand*> operands;
    for (const Instance& instance : members)
      for (const Operand& o : opOf(instance, index).*side)
        if (o.rank == schedule::kSelf) operands.push_back(&o);
    return endOf(sortOf(*operands.front()), members, operands, side == &Op::dst);
  }

  /// Every operand has the same size; scratch is not cut short, so another's, if there is one.
  std::string piece(const Class& members, std::size_t index) {
    std::vector<std::uint32_t> chunk, chunks, blocks;
    for (const Instance& instance : members) {
      const schedule::Range range = rangeOf(opOf(instance, index));
      chunk.push_back(range.chunk % chunks_);
      chunks.push_back(range.chunks == 0 ? 0 : chunksIn(range));
      blocks.push_back(blocksIn(range));
    }
    return fmt::format("lane.piece({}, {}, {})", numbers_.expression(members, chunk),
                       numbers_.expression(members, chunks), numbers_.expression(members, blocks));
  }
  static schedule::Range rangeOf(const Op& op) {
    for (const auto* operands : {&op.dst, &op.src})
      for (const Operand& o : *operands)
        if (o.kind == Operand::Kind::channel || o.buffer != BufferName::scratch) return o.range;
    return op.src.front().range;
  }

  std::string ends(const char* name, const Class& members, std::size_t index,
                   std::vector<Operand> Op::*side) {
    std::string text = fmt::format("    const End {}[] = {{", name);
    const std::size_t n = (opOf(members.front(), index).*side).size();
    for (std::size_t k = 0; k < n; ++k)
      text += fmt::format("\n        {},", end(members, index, side, k));
    return text + "};\n";
  }

  /// Operand `k`: of one sort on all ranks, or of one sort on some and another on the others.
  std::string end(const Class& members, std::size_t index, std::vector<Operand> Op::*side,
                  std::size_t k) {
    std::map<Sort, std::vector<bool>> sorts;
    for (std::size_t i = 0; i < members.size(); ++i) {
      auto& chosen = sorts[sortOf((opOf(members[i], index).*side)[k])];
      chosen.resize(members.size());
      chosen[i] = true;
    }
    std::string text;
    std::size_t left = sorts.size();
    for (auto& [sort, chosen] : sorts) {
      chosen.resize(members.size());
      Class some;
      std::vector<const Operand*> operands;
      for (std::size_t i = 0; i < members.size(); ++i)
        if (chosen[i]) {
          some.push_back(members[i]);
          operands.push_back(&(opOf(members[i], index).*side)[k]);
        }
      if (--left != 0) text += numbers_.predicate(members, chosen) + " ? ";
      text += endOf(sort, some, operands, side == &Op::dst);
      if (left != 0) text += " : ";
    }
    return text;
  }

  template <class Of>
  std::string number(const Class& members, const std::vector<const Operand*>& operands, Of of) {
    std::vector<std::uint32_t> values;
    for (std::size_t i = 0; i < members.size(); ++i)
      values.push_back(static_cast<std::uint32_t>(of(members[i], *operands[i])));
    return numbers_.expression(members, values);
  }

  std::string endOf(Sort sort, const Class& members, const std::vector<const Operand*>& operands,
                    bool writes) {
    const auto chunk = [&] {
      return number(members, operands,
                    [&](const Instance&, const Operand& o) { return o.range.chunk % chunks_; });
    };
    const auto block = [&] {
      return number(members, operands,
                    [&](const Instance&, const Operand& o) { return o.range.chunk / chunks_; });
    };
    const auto peer = [&] {
      return number(members, operands, [](const Instance&, const Operand& o) { return o.rank; });
    };
    switch (sort) {
      case Sort::in:
        if (premultiplies_)
          return fmt::format("lane.product({}, {}, {})", productsAt_, block(), chunk());
        return fmt::format("lane.own(Buffer::in, {}, {})", block(), chunk());
      case Sort::out:
        return fmt::format("lane.own(Buffer::out, {}, {})", block(), chunk());
      case Sort::peersIn:
        return fmt::format("lane.peers({}, Buffer::in, {}, {})", peer(), block(), chunk());
      case Sort::peersOut:
        return fmt::format("lane.peers({}, Buffer::out, {}, {})", peer(), block(), chunk());
      case Sort::scratch:
        return fmt::format("lane.scratch({})",
                           number(members, operands,
                                  [](const Instance&, const Operand& o) { return o.range.chunk; }));
      case Sort::message:
      case Sort::everyone:
        break;
    }
    return messageEnd(sort, members, operands, writes);
  }

  std::string messageEnd(Sort sort, const Class& members,
                         const std::vector<const Operand*>& operands, bool writes) {
    const std::string ordinal = number(
        members, operands, [&](const Instance&, const Operand& o) { return counts_.ordinalOf(o); });
    const std::string perTile = number(members, operands, [&](const Instance& i, const Operand& o) {
      return counts_.messages(i.root, o.channel.writer, o.channel.reader);
    });
    const std::string peer = number(members, operands, [&](const Instance&, const Operand& o) {
      return writes ? std::max(o.channel.reader, 0) : o.channel.writer;
    });
    std::string text;
    if (sort == Sort::everyone)
      text = writes ? fmt::format("lane.casts({}, {})", ordinal, perTile)
                    : fmt::format("lane.caught({}, {}, {})", peer, ordinal, perTile);
    else
      text = fmt::format("lane.{}({}, {}, {})", writes ? "departs" : "arrives", peer, ordinal,
                         perTile);
    return isSealed(request_.mode) ? sealed(text, members, operands) : text;
  }

  std::string sealed(const std::string& end, const Class& members,
                     const std::vector<const Operand*>& operands) {
    const auto sender =
        number(members, operands, [](const Instance&, const Operand& o) { return o.seal.sender; });
    const auto receiver = number(members, operands, [](const Instance&, const Operand& o) {
      return o.seal.receiver == schedule::kEveryone ? schedule::kMaxWorld : o.seal.receiver;
    });
    const auto index =
        number(members, operands, [](const Instance&, const Operand& o) { return o.seal.index; });
    const auto perTile = number(members, operands, [&](const Instance& i, const Operand& o) {
      return counts_.seals(i.root, o.seal.sender, o.seal.receiver);
    });
    return fmt::format("lane.sealed({}, {}, {}, {}, {})", end, sender, receiver, index, perTile);
  }

  std::string countsText() {
    std::vector<int> roots;
    for (const Schedule& schedule : schedules_) roots.push_back(schedule.shape.root);
    return counts_.text(roots, request_.worldSize, allRoots_, numbers_);
  }

  KernelRequest request_;
  Numbers numbers_;
  bool reduces_ = false;
  bool premultiplies_ = false;
  bool allRoots_ = false;
  std::uint32_t chunks_ = 1;
  std::uint32_t productsAt_ = 0;     ///< chunk of scratch where products begin
  std::vector<Schedule> schedules_;  ///< by root
  std::vector<Instance> instances_;
  Counts counts_;
};

}  // namespace

std::size_t elementBytesOf(const KernelRequest& request) {
  return contractOf(request.algorithm->collective).reduces ? sizeOf(request.type) : 1;
}

Kernel keysKernel() {
  Kernel kernel;
  kernel.name = "lockstep_prepare_keys";
  kernel.sealed = true;
  kernel.text = R"(#include "executor/cuda/prelude/keys.cuh"

LOCKSTEP_KERNEL(lockstep_prepare_keys) {
  lockstep::device::prepareKeys<lockstep::device::Cipher::table>(launch);
}
)";
  return kernel;
}

Kernel generateKernel(const KernelRequest& request) {
  return Generator(request).build();
}

}  // namespace lockstep::cuda
