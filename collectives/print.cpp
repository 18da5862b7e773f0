// Schedules for people to read: the shapes of `move` get the names the field gives them.
#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "collectives/schedule.hpp"

namespace lockstep::schedule {
namespace {

std::string_view bufferName(BufferName buffer) {
  switch (buffer) {
    case BufferName::in:
      return "in";
    case BufferName::out:
      return "out";
    case BufferName::scratch:
      return "scratch";
  }
  return "?";
}

/// "3", or "*" for everyone.
std::string readerName(int reader) {
  return reader == kEveryone ? "*" : fmt::to_string(reader);
}

/// "[2]", or "[2..4]" for chunks 2, 3 and 4.
std::string rangeText(Range range) {
  if (range.chunks == 1) return fmt::format("[{}]", range.chunk);
  if (range.chunks == 0) return "[]";
  return fmt::format("[{}..{}]", range.chunk, range.chunk + range.chunks - 1);
}

bool isChannel(const Operand& operand) {
  return operand.kind == Operand::Kind::channel;
}
bool isRemote(const Operand& operand) {
  return operand.kind == Operand::Kind::memory && operand.rank != kSelf;
}
bool isCast(const Operand& operand) {
  return isChannel(operand) && operand.channel.reader == kEveryone;
}

/// What happens to the data on its way, in order: recv or read, reduce, send or cast, write.
std::string moveName(const Op& op) {
  std::vector<std::string> verbs;
  if (std::ranges::any_of(op.src, isChannel)) verbs.emplace_back("recv");
  if (std::ranges::any_of(op.src, isRemote)) verbs.emplace_back("read");
  if (op.src.size() > 1) verbs.emplace_back("reduce");
  if (std::ranges::any_of(op.dst, isCast))
    verbs.emplace_back("cast");
  else if (std::ranges::any_of(op.dst, isChannel))
    verbs.emplace_back("send");
  if (std::ranges::any_of(op.dst, isRemote)) verbs.emplace_back("write");

  if (verbs.empty()) return "copy";
  if (verbs.size() == 1 && (verbs[0] == "read" || verbs[0] == "write")) return verbs[0] + "Remote";
  std::string name = verbs[0];
  for (std::size_t i = 1; i < verbs.size(); ++i) {
    verbs[i][0] = static_cast<char>(verbs[i][0] - 'a' + 'A');
    name += verbs[i];
  }
  return name;
}

std::string opName(const Op& op) {
  switch (op.kind) {
    case OpKind::move:
      return moveName(op);
    case OpKind::forward:
      return std::ranges::all_of(op.dst, isChannel) ? "forward" : "recvForward";
    case OpKind::expose:
      return "expose";
    case OpKind::acquire:
      return "acquire";
    case OpKind::release:
      return "release";
    case OpKind::close:
      return "close";
  }
  return "?";
}

std::string join(const std::vector<Operand>& operands, std::string_view between) {
  std::string text;
  for (const Operand& operand : operands) {
    if (!text.empty()) text += between;
    text += toString(operand);
  }
  return text;
}

void appendProgram(std::string& text, const Program& program, int rank) {
  for (std::size_t lane = 0; lane < program.lanes.size(); ++lane) {
    fmt::format_to(std::back_inserter(text), "rank {}", rank);
    if (program.lanes.size() > 1) fmt::format_to(std::back_inserter(text), ", lane {}", lane);
    text += '\n';
    for (std::size_t i = 0; i < program.lanes[lane].size(); ++i)
      fmt::format_to(std::back_inserter(text), "{:3}  {}\n", i, toString(program.lanes[lane][i]));
  }
}

}  // namespace

std::string toString(const Operand& operand) {
  if (operand.kind == Operand::Kind::memory) {
    const std::string owner = operand.rank == kSelf ? "" : fmt::format("@{}", operand.rank);
    return fmt::format("{}{}{}", bufferName(operand.buffer), owner, rangeText(operand.range));
  }
  const auto& [writer, reader] = operand.channel;
  std::string text = fmt::format("{}>{}{}", writer, readerName(reader), rangeText(operand.range));
  if (operand.seal)
    fmt::format_to(std::back_inserter(text), "{{key {}>{} #{}}}", operand.seal.sender,
                   readerName(operand.seal.receiver), operand.seal.index);
  return text;
}

std::string toString(const Op& op) {
  std::string text = opName(op);
  if (!op.dst.empty() || !op.src.empty())
    fmt::format_to(std::back_inserter(text), " {} <- {}", join(op.dst, ", "), join(op.src, " + "));
  if (op.finish) text += "   finish";
  return text;
}

std::string toString(const Schedule& schedule, int rank) {
  std::string text = fmt::format("{} {}: world {}, chunks {}, {}, {}", name(schedule.collective),
                                 schedule.name, schedule.shape.worldSize, schedule.chunks,
                                 schedule.shape.inPlace ? "in place" : "out of place",
                                 schedule.shape.multicast ? "multicast" : "unicast");
  if (contractOf(schedule.collective).rooted)
    fmt::format_to(std::back_inserter(text), ", root {}", schedule.shape.root);
  if (schedule.scratchChunks > 0)
    fmt::format_to(std::back_inserter(text), ", scratch {}", schedule.scratchChunks);
  if (schedule.exposes) text += ", exposed";
  text += '\n';
  for (int r = 0; r < std::ssize(schedule.programs); ++r)
    if (rank < 0 || rank == r)
      appendProgram(text, schedule.programs[static_cast<std::size_t>(r)], r);
  return text;
}

}  // namespace lockstep::schedule
