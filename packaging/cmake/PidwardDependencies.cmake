# Everything comes from Debian packages, by CMake config or pkg-config.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)

# Boost.Asio, compiled once (lib/runtime/asio_impl.cpp) instead of into every file that includes it.
add_library(pidward_asio INTERFACE)
target_link_libraries(pidward_asio INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(pidward_asio INTERFACE BOOST_ASIO_SEPARATE_COMPILATION
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE)
# Its memory comes from operator new: an aligned_alloc that fails would throw, past the handler that ends the daemon at once.
target_compile_definitions(pidward_asio INTERFACE BOOST_ASIO_DISABLE_STD_ALIGNED_ALLOC BOOST_ASIO_DISABLE_BOOST_ALIGN)
if(PIDWARD_SANITIZE MATCHES "thread")
  # ThreadSanitizer does not know fences. Asio's are for handlers that run on several threads; ours run on one.
  target_compile_definitions(pidward_asio INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
endif()

if(PIDWARD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(PIDWARD_BENCH)
  find_package(benchmark REQUIRED)
endif()
