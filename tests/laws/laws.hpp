// The laws of the house, each a function from sources to the places that break it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "laws/source_tree.hpp"

namespace lockstep::laws {

using Offences = std::vector<Offence>;

/// Includes go one way: base <- topology <- collectives <- cc_mode <- executor <- communicator,
/// base <- bootstrap <- transport <- executor, and everyone <- lockstep/*.hpp. bench sees base and
/// the public headers only, but for the parts that show what is inside.
Offences layering(const SourceFile& file);

/// Public headers include lockstep/* and the standard library, nothing else.
Offences publicIncludes(const SourceFile& file);

/// Command lines are for programs: only bench, tests and tools may include CLI11.
Offences noCommandLine(const SourceFile& file);

/// The library never ends the process, prints or forks.
Offences noSideEffects(const SourceFile& file);

/// No tabs, no line break in DOS style, no file over 600 lines.
Offences shape(const SourceFile& file);

/// Each folder of the house has a README.md of at most 60 lines (the root's may be longer).
Offences readmes(std::span<const SourceFile> files);

/// Each LOCKSTEP_* variable that the sources name is in the table of settings.cpp, and each one in
/// the table is read somewhere.
Offences settings(std::span<const SourceFile> files);

/// Of the dynamic symbols of the library as nm prints them ("0000 T _ZN8lockstep…"), those that
/// are not in the API. `api`: names declared LOCKSTEP_API. Weak symbols that are not ours
/// (templates of std, type information of unnamed types) are tolerated: their visibility is default
/// whatever the flags say, and they bind nobody.
Offences exportedSymbols(std::string_view nm, std::span<const std::string> api);

/// The names that public headers declare LOCKSTEP_API, in namespace lockstep.
std::vector<std::string> apiNames(std::span<const SourceFile> files);

}  // namespace lockstep::laws
