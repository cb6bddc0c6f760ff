// Making the sockets and FIFOs of a socket unit. Looks users up and touches file systems: for the
// worker pool.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "sys/fd.hpp"
#include "unit/spec.hpp"

namespace pidward::runtime {

/// One Listen…= line, open.
struct ListeningSocket {
  sys::Fd fd;
  std::string path;      ///< in the file system, else empty
  bool accepts = false;  ///< a connection-based socket: accept(2) can be called
};

/// All Listen…= lines of the unit, or none: on an error what was opened is closed again. The
/// descriptors are non-blocking where the manager accepts on them itself.
Result<std::vector<ListeningSocket>> open_sockets(const unit::UnitSpec& spec);

/// What RemoveOnStop= removes: the files and the links to them.
void remove_socket_files(const unit::UnitSpec& spec);

}  // namespace pidward::runtime
