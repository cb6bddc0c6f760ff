// Which units a listing or a pattern is about: --type, --state, --failed and --all.
#pragma once

#include <string>

#include "bus/client/client.hpp"
#include "ctl/options.hpp"

namespace pidward::ctl {

/// Makes single words of "-t service,timer"; --failed is one of the states. Errors: a word that is
/// no type or no state.
Status read_filters(Options& options);
/// Whether "help" stands in place of a type or a state; prints the words that are known then.
bool print_known_words(const Options& options);
/// Whether the name is that of a unit of the types that were asked for.
bool has_type(const Options& options, const std::string& name);
/// Whether a row of ListUnits is to be shown: what is inactive and has no job only when it is asked
/// for.
bool is_wanted(const Options& options, const bus::Data& row);

}  // namespace pidward::ctl
