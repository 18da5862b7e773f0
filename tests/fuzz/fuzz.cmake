# Each *_fuzz.cpp here becomes a libFuzzer executable; `fuzzers` builds them all. Clang only.
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "LOCKSTEP_FUZZ needs clang (cmake --preset fuzz, or tools/test --fuzz SECONDS)")
endif()

add_custom_target(fuzzers)
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/*_fuzz.cpp)
foreach(source ${fuzz_sources})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE lockstep_internal)
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer,address)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer,address)
  set_target_properties(${name} PROPERTIES CXX_CLANG_TIDY "")
  add_dependencies(fuzzers ${name})
endforeach()
# The ranks that it steps are those of the attack tests.
target_sources(shared_words_fuzz PRIVATE
  ${CMAKE_CURRENT_SOURCE_DIR}/attack/stepped_world.cpp ${CMAKE_CURRENT_SOURCE_DIR}/attack/scenes.cpp)
