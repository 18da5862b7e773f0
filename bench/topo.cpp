#include "bench/topo.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "base/printable.hpp"
#include "bench/application.hpp"
#include "bench/output.hpp"
#include "bench/sizes.hpp"
#include "bench/topo_options.hpp"
#include "topology/discover.hpp"
#include "topology/graph/graph.hpp"
#include "topology/inventory/merge.hpp"
#include "topology/presets/preset.hpp"
#include "topology/readers/reader.hpp"
#include "topology/rules/rule.hpp"
#include "topology/search/rings.hpp"
#include "topology/search/trees.hpp"
#include "topology/writers/dot.hpp"
#include "topology/writers/json.hpp"
#include "topology/writers/matrix.hpp"
#include "topology/writers/nccl_xml.hpp"
#include "topology/writers/svg.hpp"
#include "topology/writers/tree.hpp"

namespace lockstep::bench {
namespace {

using namespace topology;

/// A machine, and what those who told it had to say besides.
struct Subject {
  Inventory inventory;
  std::vector<std::string> remarks;
  std::vector<ProbeReport> probes;
};

Reading readingOf(const std::string& file) {
  try {
    return readTopologyFile(file);
  } catch (const Error& error) {
    throw UsageError(fmt::format("--file {}", error.what()));
  }
}

void addFile(Subject& subject, const std::string& file) {
  const Reading reading = readingOf(file);
  const bool first = subject.inventory.source.empty();
  subject.inventory = first ? reading.inventory : merge(subject.inventory, reading.inventory);
  if (!first) subject.inventory.source += " + " + file;
  for (const Remark& remark : reading.remarks)
    subject.remarks.push_back(remark.line > 0
                                  ? fmt::format("{}:{}: {}", file, remark.line, remark.text)
                                  : fmt::format("{}: {}", file, remark.text));
}

void addThisMachine(Subject& subject) {
  Discovery found = discover();
  const bool first = subject.inventory.source.empty();
  subject.inventory = first ? found.inventory : merge(subject.inventory, found.inventory);
  if (!first) subject.inventory.source += " + this machine";
  for (const ProbeReport& report : found.reports)
    for (const std::string& remark : report.remarks)
      subject.remarks.push_back(fmt::format("{}: {}", report.name, remark));
  subject.probes = std::move(found.reports);
}

Subject subjectOf(const TopoLine& line) {
  Subject subject;
  if (!line.fabric.empty()) subject.inventory = findPreset(line.fabric).make();
  for (const std::string& file : line.files) addFile(subject, file);
  if (line.live) addThisMachine(subject);
  return subject;
}

std::string countText(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : (what.ends_with("ch") ? "es" : "s"));
}

/// What a source says goes on no second line.
std::string asLine(std::string_view text) {
  return printable(text, text.size());
}

/// To people: whatever a source smuggled into a name stays off their terminals.
void show(std::string_view text) {
  print(printableLines(text));
}

/// "h100.xml: 2 NUMA nodes, 8 GPUs, 4 NVSwitches, 16 NICs"
std::string title(const Graph& graph) {
  std::string text = asLine(graph.inventory().source) + ": ";
  if (graph.hosts() > 1) text += countText(static_cast<std::size_t>(graph.hosts()), "host") + ", ";
  text += countText(graph.ofKind(NodeKind::cpu).size(), "NUMA node");
  for (const NodeKind kind : {NodeKind::gpu, NodeKind::nvSwitch, NodeKind::nic})
    if (const std::size_t count = graph.ofKind(kind).size(); count > 0)
      text += ", " + countText(count, name(kind));
  return text + '\n';
}

std::string driverText(const Driver& driver) {
  return driver.version.empty() ? std::string() : fmt::format("NVIDIA driver {}\n", driver.version);
}

/// What was looked at and not there, and what was odd: `more` besides.
std::string notesText(const Subject& subject, const std::vector<std::string>& more = {}) {
  std::string text;
  for (const ProbeReport& report : subject.probes)
    if (!report.absent.empty())
      text += fmt::format("  {}: {}\n", report.name, asLine(report.absent));
  for (const std::string& remark : subject.remarks) text += fmt::format("  {}\n", asLine(remark));
  for (const std::string& remark : more) text += fmt::format("  {}\n", asLine(remark));
  return text.empty() ? text : "\nNotes:\n" + text;
}

/// What collectives could run over; of a machine that is one of several, with its NICs too.
std::string ringsText(const Graph& graph) {
  std::string text;
  for (const bool withNics : {false, true}) {
    if (withNics && graph.ofKind(NodeKind::nic).empty()) continue;
    const Rings rings = findRings(graph, {.withNics = withNics});
    text +=
        fmt::format("{}:\n{}{}", withNics ? "One of several machines" : "Inside this machine",
                    topology::print(graph, rings), topology::print(graph, findTrees(graph, rings)));
  }
  return text;
}

/// Only their sums.
std::string ringsInShort(const Graph& graph) {
  if (graph.ofKind(NodeKind::gpu).size() < 2) return {};
  const Rings rings = findRings(graph);
  const std::string text = topology::print(graph, rings);
  return text.substr(0, text.find('\n') + 1);
}

std::string wholeText(const Subject& subject, const Graph& graph) {
  std::string text = title(graph) + driverText(graph.inventory().driver) + '\n' + writeTree(graph);
  for (const std::string& part : {writeMatrix(graph), ringsInShort(graph)})
    if (!part.empty()) text += '\n' + part;
  return text + notesText(subject, graph.remarks());
}

std::string formText(TopoLine::Form form, const Subject& subject, const Graph& graph) {
  switch (form) {
    case TopoLine::Form::tree:
      return writeTree(graph);
    case TopoLine::Form::matrix:
      return writeMatrix(graph);
    case TopoLine::Form::rings:
      return ringsText(graph);
    case TopoLine::Form::dot:
      return writeDot(graph);
    default:
      return wholeText(subject, graph);
  }
}

/// Of --check.
int statusOf(const std::vector<Problem>& problems) {
  int status = 0;
  for (const Problem& problem : problems) {
    if (problem.severity == Severity::error) return 2;
    if (problem.severity == Severity::warning) status = 1;
  }
  return status;
}

std::string verdictText(const std::vector<Problem>& problems) {
  std::string text;
  std::size_t counts[3] = {};
  for (const Problem& problem : problems) {
    ++counts[static_cast<std::size_t>(problem.severity)];
    text += fmt::format("{}: {} {} [{}]\n", name(problem.severity), asLine(problem.subject),
                        asLine(problem.what), problem.rule);
    if (!problem.advice.empty()) text += fmt::format("    {}\n", asLine(problem.advice));
  }
  if (statusOf(problems) == 0) return text + "Nothing wrong was found.\n";
  return text +
         fmt::format("{}, {}.\n",
                     countText(counts[static_cast<std::size_t>(Severity::error)], "error"),
                     countText(counts[static_cast<std::size_t>(Severity::warning)], "warning"));
}

int check(const TopoLine& line, const Subject& subject, const Graph& graph) {
  const std::vector<Problem> problems = diagnose(graph);
  // JSON contains them; and the rules have looked at what the graph remarks.
  if (line.form != TopoLine::Form::json)
    show(title(graph) + driverText(graph.inventory().driver) + verdictText(problems) +
         notesText(subject));
  return statusOf(problems);
}

}  // namespace

int runTopo(const std::vector<std::string>& arguments) {
  const TopoLine line = parseTopoLine(arguments);
  if (!line.help.empty()) {
    print(line.help);
    return kSuccess;
  }
  if (!line.svgFile.empty()) requireWritable(line.svgFile, "--svg");
  if (!line.ncclFile.empty()) requireWritable(line.ncclFile, "--nccl-xml");
  try {
    const Subject subject = subjectOf(line);
    const Graph graph(subject.inventory);
    if (!line.svgFile.empty()) writeFile(line.svgFile, writeSvg(graph));
    if (!line.ncclFile.empty()) writeFile(line.ncclFile, writeNcclXml(graph.inventory()));
    if (line.show && line.form == TopoLine::Form::json)
      print(writeJson(graph) + '\n');
    else if (line.show)
      show(formText(line.form, subject, graph));
    return line.check ? check(line, subject, graph) : kSuccess;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::invalidArgument) throw UsageError(error.what());
    throw;
  }
}

}  // namespace lockstep::bench
