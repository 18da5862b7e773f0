# Law: each header compiles alone, twice in one file; a public one with nothing but lib/include.
# The build is the test. Sanitizer builds leave it out: they would find the same.
if(LOCKSTEP_SANITIZE)
  return()
endif()

# header_law(<target> <root> <folder>...): an object library of one source per header below the
# folders, which are below the root. *-inl.hpp are parts of sources, not headers.
function(header_law target root)
  set(globs)
  foreach(folder ${ARGN})
    list(APPEND globs ${root}/${folder}/*.hpp)
  endforeach()
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${root} ${globs})
  list(FILTER headers EXCLUDE REGEX "(-inl\\.hpp|^include/.*)$")
  set(sources)
  foreach(header ${headers})
    set(source ${CMAKE_CURRENT_BINARY_DIR}/headers/${header}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include <@header@>\n#include <@header@>\n" @ONLY)
    list(APPEND sources ${source})
  endforeach()
  if(NOT sources)
    return()
  endif()
  add_library(${target} OBJECT ${sources})
  target_compile_options(${target} PRIVATE -O0 -g0 -Wall -Wextra -Wpedantic -Wshadow -Werror)
  set_target_properties(${target} PROPERTIES CXX_CLANG_TIDY "")
endfunction()

header_law(law_public_headers ${CMAKE_SOURCE_DIR}/lib/include lockstep)
target_include_directories(law_public_headers PRIVATE ${CMAKE_SOURCE_DIR}/lib/include)

header_law(law_library_headers ${CMAKE_SOURCE_DIR} topology collectives cc_mode)
target_link_libraries(law_library_headers PRIVATE lockstep_executor)
header_law(law_lib_headers ${CMAKE_SOURCE_DIR}/lib base bootstrap transport executor communicator)
target_link_libraries(law_lib_headers PRIVATE lockstep_internal nlohmann_json::nlohmann_json)

if(LOCKSTEP_BENCH)
  header_law(law_bench_headers ${CMAKE_SOURCE_DIR} bench)
  target_link_libraries(law_bench_headers PRIVATE
    lockstep_internal nlohmann_json::nlohmann_json CLI11::CLI11)
  if(MPI_C_FOUND)
    target_link_libraries(law_bench_headers PRIVATE MPI::MPI_C)
  endif()
endif()
