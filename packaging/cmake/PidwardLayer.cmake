# pidward_layer(NAME [DEPENDS layer...] [LIBRARIES target...] [PRIVATE_LIBRARIES target...] [ALONE source...])
# One static library per folder of lib/; sources are the folder's own. With PIDWARD_FAST_BUILD several sources are
# compiled as one; ALONE names those that share the names of their anonymous namespaces with others.
function(pidward_layer name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES;PRIVATE_LIBRARIES;ALONE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  if(NOT sources)
    add_library(pidward_${name} INTERFACE)
    return()
  endif()
  add_library(pidward_${name} STATIC ${sources})
  list(TRANSFORM ARG_DEPENDS PREPEND pidward_ OUTPUT_VARIABLE layers)
  target_link_libraries(pidward_${name} PUBLIC ${layers} ${ARG_LIBRARIES} PRIVATE ${ARG_PRIVATE_LIBRARIES} pidward_flags)
  if(PIDWARD_FAST_BUILD)
    set_target_properties(pidward_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 9)
    set_source_files_properties(${ARG_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()

# pidward_test(NAME LAYERS layer... [LIBRARIES target...] [TIMEOUT s] [PURE])
# One GoogleTest program from the .cpp files of the current folder; every case is a ctest entry. Of PURE ones, which only
# compute, the whole program is one under sanitizers, where hundreds of processes cost more than what they test.
function(pidward_test name)
  cmake_parse_arguments(ARG "PURE" "TIMEOUT" "LAYERS;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  list(TRANSFORM ARG_LAYERS PREPEND pidward_ OUTPUT_VARIABLE layers)
  target_link_libraries(test_${name} PRIVATE ${layers} ${ARG_LIBRARIES} pidward_flags GTest::gmock GTest::gtest_main)
  target_include_directories(test_${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  # The tests' own code need not be fast; compiling it should be.
  target_compile_options(test_${name} PRIVATE -O0)
  if(PIDWARD_FAST_BUILD)
    target_precompile_headers(test_${name} REUSE_FROM pidward_test_pch)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(PIDWARD_SANITIZE AND ARG_PURE)
    add_test(NAME ${name}.all COMMAND test_${name} --gtest_brief)
    set_tests_properties(${name}.all PROPERTIES TIMEOUT 600 LABELS "${name}")
    return()
  endif()
  include(GoogleTest)
  gtest_discover_tests(test_${name} TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${name}")
endfunction()

# pidward_tiers(NAME FILTER pattern)
# Some cases of a test program again under each kernel tier, with control groups: one ctest entry for each feature that
# is switched off.
function(pidward_tiers name filter)
  foreach(off pidfs pidfd-info pidfd-exit-info pidfs-handles pidfs-xattrs cgroup-kill cgroup proc-children)
    add_test(NAME "tiers.${name}.without-${off}"
      COMMAND test_${name} "--gtest_filter=${filter}" --gtest_brief=1)
    set_tests_properties("tiers.${name}.without-${off}" PROPERTIES TIMEOUT 120 LABELS "tiers"
      ENVIRONMENT "PIDWARD_DISABLE_FEATURES=${off};PIDWARD_TEST_GROUPS=1")
  endforeach()
endfunction()

# What every test includes, parsed once.
if(PIDWARD_TESTS AND PIDWARD_FAST_BUILD)
  file(WRITE "${PROJECT_BINARY_DIR}/generated/test_pch.cpp" "")
  add_library(pidward_test_pch OBJECT "${PROJECT_BINARY_DIR}/generated/test_pch.cpp")
  target_link_libraries(pidward_test_pch PRIVATE pidward_flags fmt::fmt GTest::gmock GTest::gtest)
  # The flags of a program, as the tests are: a precompiled header serves no other.
  set_target_properties(pidward_test_pch PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(pidward_test_pch PRIVATE -fPIE -O0)
  target_precompile_headers(pidward_test_pch PRIVATE <algorithm> <array> <functional> <map> <memory> <optional> <set>
    <string> <variant> <vector> <fmt/core.h> <gmock/gmock.h> <gtest/gtest.h>)
endif()
