# One set of flags for everything of ours: C++23, every useful warning, each an error.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 17)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Debug CACHE STRING "" FORCE)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  # -g1: line numbers in back-traces at a fraction of the size and link time.
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
endif()
if(PIDWARD_SANITIZE)
  # Instrumented code is read by the optimiser for minutes on end; the tests are quick enough without.
  set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE}")
endif()

add_library(pidward_flags INTERFACE)
target_compile_options(pidward_flags INTERFACE
  -Wall -Wextra -Werror -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Wswitch-enum
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13
   AND CMAKE_BUILD_TYPE STREQUAL "Release")
  # What GCC 12 says of its own std::string and std::variant once it inlines them; Debug builds keep these warnings.
  target_compile_options(pidward_flags INTERFACE -Wno-maybe-uninitialized -Wno-restrict -Wno-array-bounds
    -Wno-stringop-overflow -Wno-stringop-overread -Wno-free-nonheap-object)
endif()
target_include_directories(pidward_flags INTERFACE "${PROJECT_SOURCE_DIR}/lib" "${PROJECT_BINARY_DIR}/generated")
target_compile_definitions(pidward_flags INTERFACE _GNU_SOURCE)
if(PIDWARD_SANITIZE)
  target_compile_options(pidward_flags INTERFACE -fsanitize=${PIDWARD_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all -Wno-maybe-uninitialized)
  target_link_options(pidward_flags INTERFACE -fsanitize=${PIDWARD_SANITIZE})
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(pidward_flags INTERFACE -ffunction-sections -fdata-sections)
  target_link_options(pidward_flags INTERFACE -Wl,--gc-sections -Wl,--as-needed)
  # What the loader has to move at the start, in an eighth of the space (glibc 2.36).
  include(CheckLinkerFlag)
  check_linker_flag(CXX -Wl,-z,pack-relative-relocs PIDWARD_HAS_RELR)
  if(PIDWARD_HAS_RELR)
    target_link_options(pidward_flags INTERFACE -Wl,-z,pack-relative-relocs)
  endif()
endif()
