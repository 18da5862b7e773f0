// The command line of `ccbench topo`.
#pragma once

#include <string>
#include <vector>

namespace lockstep::bench {

struct TopoLine {
  enum class Form { text, tree, matrix, rings, json, dot };

  std::string help;                ///< text; everything else is then unset
  std::vector<std::string> files;  ///< the first is right where they differ
  std::string fabric;              ///< a preset's name, or empty
  bool live = true;                ///< look at this machine (after the files, if there are any)
  Form form = Form::text;
  bool show = true;     ///< print the form: not where only files or the verdict are asked for
  std::string svgFile;  ///< empty: none
  std::string ncclFile;
  bool check = false;
};

/// Throws UsageError.
TopoLine parseTopoLine(const std::vector<std::string>& arguments);

}  // namespace lockstep::bench
