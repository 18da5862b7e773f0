# Tests of what talks to GPUs.

lockstep_tests(cuda unit lockstep_executor nlohmann_json::nlohmann_json)
# Its kernels are compiled while it runs, by the compiler and with the sanitizers that it has.
set(kernel_flags "")
if(LOCKSTEP_SANITIZE)
  set(kernel_flags "-fsanitize=${LOCKSTEP_SANITIZE}")
endif()
target_compile_definitions(test_cuda PRIVATE
  LOCKSTEP_CXX="${CMAKE_CXX_COMPILER}" LOCKSTEP_KERNEL_FLAGS="${kernel_flags}")
target_link_libraries(test_cuda PRIVATE ${CMAKE_DL_LIBS})
add_subdirectory(cuda/fake_driver)
# As NVRTC's --fmad=false: what the host runs of the prelude rounds as written.
target_compile_options(test_cuda PRIVATE -ffp-contract=off)
# For abi_test.cpp alone, which compiles without, too.
file(GLOB cuda_includes /usr/local/cuda-*/include)
find_path(LOCKSTEP_CUDA_HEADERS cuda.h PATHS /usr/local/cuda/include ${cuda_includes})
if(LOCKSTEP_CUDA_HEADERS)
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/cuda/abi_test.cpp PROPERTIES
    COMPILE_OPTIONS "-isystem;${LOCKSTEP_CUDA_HEADERS}")
endif()

# What blocks of several threads do. Few messages make an epoch, so that tests see many.
lockstep_tests(cuda_blocks unit lockstep_executor)
target_compile_definitions(test_cuda_blocks PRIVATE
  LOCKSTEP_PLATFORM="cuda/block_platform.cuh" LOCKSTEP_MESSAGES_PER_EPOCH=8)

# Every kernel for every chip: `cmake --build .. --target nvrtc_matrix`, then `bin/nvrtc_matrix`. No test: the
# ordinary ones compile a set that covers it.
add_executable(nvrtc_matrix EXCLUDE_FROM_ALL cuda/nvrtc_matrix/main.cpp)
target_link_libraries(nvrtc_matrix
  PRIVATE lockstep_test_support lockstep_executor GTest::gtest CLI11::CLI11)
set_target_properties(nvrtc_matrix PROPERTIES CXX_CLANG_TIDY "")

# DeviceCommunicator on the emulated driver.
lockstep_tests(device integration lockstep_internal)
add_dependencies(test_device lockstep_fake_cuda lockstep_fake_nvrtc)
target_compile_definitions(test_device PRIVATE
  LOCKSTEP_FAKE_CUDA="$<TARGET_FILE:lockstep_fake_cuda>"
  LOCKSTEP_FAKE_NVRTC="$<TARGET_FILE:lockstep_fake_nvrtc>")
