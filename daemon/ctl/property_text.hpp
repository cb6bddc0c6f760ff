// How show prints the value of a property: as systemctl does, so that scripts written for it can
// read it.
#pragma once

#include <string>
#include <vector>

#include "bus/client/client.hpp"

namespace pidward::ctl {

/// The value behind "NAME="; several where the property has a line for each of its entries.
std::vector<std::string> property_text(const std::string& name, const bus::Data& data);

}  // namespace pidward::ctl
