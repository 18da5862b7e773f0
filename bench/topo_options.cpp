#include "bench/topo_options.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bench/sizes.hpp"
#include "topology/names.hpp"
#include "topology/presets/preset.hpp"
#include "topology/readers/reader.hpp"

namespace lockstep::bench {
namespace {

struct Flags {
  bool live = false, tree = false, matrix = false, rings = false, json = false, dot = false;
};

void declare(CLI::App& app, TopoLine& line, Flags& flags) {
  app.add_option("--file", line.files,
                 fmt::format("Machine of a file: {}. Given again, the later files fill what the "
                             "first ones do not know",
                             topology::namesOf(topology::allReaders())))
      ->type_name("FILE");
  app.add_option("--fabric", line.fabric,
                 fmt::format("Machine by name: {}", topology::namesOf(topology::allPresets())))
      ->type_name("NAME");
  app.add_flag("--live", flags.live,
               "This machine (the default); with --file, what it knows beyond the files: hint "
               "files need that");
  app.add_flag("--tree", flags.tree, "Only the tree");
  app.add_flag("--matrix", flags.matrix, "Only the matrix, as nvidia-smi topo -m draws it");
  app.add_flag("--rings", flags.rings, "Only the rings and trees that collectives could run over");
  app.add_flag("--json", flags.json, "Everything, as JSON");
  app.add_flag("--dot", flags.dot, "A graph for graphviz");
  app.add_option("--svg", line.svgFile, "Writes a picture")->type_name("FILE");
  app.add_option("--nccl-xml", line.ncclFile, "Writes what NCCL_TOPO_FILE takes")
      ->type_name("FILE");
  app.add_flag(
      "--check", line.check,
      "Says what is wrong or suspicious, in words. Exit status 0: nothing, 1: warnings, 2: errors, "
      "or a file that cannot be read");
  app.footer(
      "Bandwidths are GB/s of one direction that transfers get, below the signalling rate: 20.6 of "
      "25\nfor an NVLink of Hopper, 55 of 64 for PCIe x16 Gen5.");
}

TopoLine::Form formOf(const Flags& flags) {
  using Form = TopoLine::Form;
  const std::pair<bool, Form> forms[] = {{flags.tree, Form::tree},
                                         {flags.matrix, Form::matrix},
                                         {flags.rings, Form::rings},
                                         {flags.json, Form::json},
                                         {flags.dot, Form::dot}};
  Form form = Form::text;
  int asked = 0;
  for (const auto& [wanted, one] : forms)
    if (wanted) form = one, ++asked;
  if (asked > 1) throw UsageError("of --tree, --matrix, --rings, --json and --dot one at a time");
  return form;
}

}  // namespace

TopoLine parseTopoLine(const std::vector<std::string>& arguments) {
  CLI::App app("ccbench topo: what is connected to what", "ccbench topo");
  TopoLine line;
  Flags flags;
  declare(app, line, flags);
  try {
    app.parse(std::vector(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::CallForHelp&) {
    line.help = app.help();
    return line;
  } catch (const CLI::ParseError& error) {
    throw UsageError(fmt::format("{} (ccbench topo --help lists the options)", error.what()));
  }
  if (!line.fabric.empty() && (!line.files.empty() || flags.live))
    throw UsageError("--fabric is a machine by itself: neither --file nor --live goes with it");
  line.form = formOf(flags);
  line.live = flags.live || (line.files.empty() && line.fabric.empty());
  const bool other = line.check || !line.svgFile.empty() || !line.ncclFile.empty();
  line.show = line.form != TopoLine::Form::text || !other;
  if (line.check && line.form == TopoLine::Form::dot)
    throw UsageError("--check does not go with --dot, which has no place for its verdict");
  return line;
}

}  // namespace lockstep::bench
