// What stands beside a unit's file: NAME.d/*.conf and the links in NAME.wants/, .requires/,
// .upholds/ (systemd.unit(5)).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "unit/loader_index.hpp"

namespace pidward::unit {

struct DropinFile {
  std::string path;
  bool yaml = false;
  WallTime modified;
};

/// The drop-ins of a unit with these names, in the order they are applied: by file name, whatever
/// directory they are in. Of equal names the one of highest precedence counts; an empty file or a
/// link to /dev/null hides the others. `beside`: further directories, before the search path's
/// (load_file()).
std::vector<DropinFile> find_dropins(const SearchIndex& index, const UnitName& name,
                                     const std::vector<UnitName>& aliases,
                                     const std::vector<std::string>& beside,
                                     std::vector<Diagnostic>& problems);

struct FolderLink {
  Dependency kind;    ///< Wants, Requires or Upholds
  std::string entry;  ///< the link's own name, which is the unit's: "bar.service"
  std::string path;
};

/// The links in the unit's folders, masked ones left out. Entries that are not links are reported
/// and left out.
std::vector<FolderLink> find_folder_links(const SearchIndex& index, const UnitName& name,
                                          const std::vector<UnitName>& aliases,
                                          std::vector<Diagnostic>& problems);

/// The names whose folders speak for `name`, most specific first: the name, its template, and for
/// foo-bar.service foo-.service.
std::vector<std::string> folder_bases(const UnitName& name);

}  // namespace pidward::unit
