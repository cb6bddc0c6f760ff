// Specifiers: %i, %n, %t … (systemd.unit(5), "Specifiers").
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "unit/name.hpp"

namespace pidward::unit {

/// What the specifiers that depend on the system mean. Filled in once by the runtime; plain text
/// for tests.
struct SpecifierContext {
  std::string architecture;                        ///< %a "x86-64"
  std::string boot_id;                             ///< %b
  std::string machine_id;                          ///< %m
  std::string host_name;                           ///< %H
  std::string short_host_name;                     ///< %l
  std::string pretty_host_name;                    ///< %q
  std::string kernel_release;                      ///< %v
  std::string user_name, group_name, home, shell;  ///< %u %g %h %s
  std::uint32_t uid = 0, gid = 0;                  ///< %U %G
  std::string os_id, os_version_id, os_build_id, os_variant_id, os_image_id,
      os_image_version;          ///< %o %w %B %W %M %A
  std::string runtime_root;      ///< %t /run
  std::string state_root;        ///< %S
  std::string cache_root;        ///< %C
  std::string logs_root;         ///< %L
  std::string config_root;       ///< %E
  std::string tmp_root;          ///< %T
  std::string var_tmp_root;      ///< %V
  std::string credentials_root;  ///< %d is <this>/<unit>
};

/// `text` with every specifier replaced for `name`; `fragment_path` is what %y and %Y speak of.
/// A '%' that no letter or digit follows stays as it is, as in systemd.
/// Errors: an unknown specifier, or one that has no value here (named).
Result<std::string> expand_specifiers(std::string_view text, const UnitName& name,
                                      const SpecifierContext& context,
                                      std::string_view fragment_path = {});

}  // namespace pidward::unit
