// Our kinds of errors and their names on the bus. The names are systemd's where it has one, below
// org.pidward1; general ones are the D-Bus specification's.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace pidward::bus {

std::string_view error_name(Errc code);
/// The way back, for clients; unknown names are Errc::failed. Both org.pidward1.X and
/// org.freedesktop.systemd1.X are understood.
Errc error_code(std::string_view name);
/// The sentence a caller reads: where, what, and what to do.
std::string error_text(const Error& error);

}  // namespace pidward::bus
