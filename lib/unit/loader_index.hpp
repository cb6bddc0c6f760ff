// What is on the search path, listed once: which names exist, which are links to which, which are
// masked, and which folders (.d, .wants, …) stand beside them. Everything the loader and the
// install operations ask about files.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "unit/loader.hpp"

namespace pidward::unit {

/// Larger unit files are refused: nobody writes them, and a mistyped path leads to worse.
inline constexpr std::size_t kMaxUnitFile = 4UL << 20U;

/// What a path leads to after every link was followed.
struct Followed {
  FileKind kind = FileKind::missing;  ///< never symlink
  std::string path;                   ///< where the last link points; the path itself without links
  FileInfo info;
  std::string problem;  ///< a sentence, when the way there could not be followed
  [[nodiscard]] bool is_mask() const {
    return kind == FileKind::null_device || (kind == FileKind::regular && info.size == 0);
  }
};

/// How a name on the search path is to be understood.
struct Candidate {
  enum class Kind : std::uint8_t { file, mask, alias, bad };
  Kind kind = Kind::bad;
  std::uint32_t directory = 0;  ///< index into SearchIndex::directories()
  std::string path;             ///< the entry itself, in its directory
  std::string file;       ///< what is to be read: the entry, or where a link out of the path leads
  std::string target;     ///< Kind::alias: the other unit's name
  std::string link_text;  ///< of a link: what it says
  bool is_link = false;
  bool dangling = false;  ///< Kind::bad: a link whose file does not exist
  bool yaml = false;
  WallTime modified;
  std::string problem;  ///< Kind::bad: why, a sentence
};

/// What a unit's name comes to.
struct Resolution {
  enum class Kind : std::uint8_t { not_found, file, mask, bad };
  explicit Resolution(UnitName unit_name) : name(std::move(unit_name)) {}
  Kind kind = Kind::not_found;
  UnitName name;  ///< canonical; for Kind::not_found and bad the name that was asked for
  std::vector<UnitName> aliases;         ///< every other name of it, sorted
  const Candidate* candidate = nullptr;  ///< of the file or mask; lives as long as the index
  std::vector<Diagnostic> diagnostics;
};

class SearchIndex {
 public:
  /// `files` outlives the index.
  SearchIndex(const FileSource& files, const SearchPath& path);

  [[nodiscard]] Resolution resolve(const UnitName& name) const;
  /// The candidate of highest precedence under exactly this name, or nullptr.
  [[nodiscard]] const Candidate* find(const std::string& name) const;
  /// All candidates under exactly this name, highest precedence first.
  [[nodiscard]] std::vector<Candidate> all(const std::string& name) const;
  /// Looks at every file whether it is a link: what resolve() otherwise does the first time.
  void find_links() const { build_reverse(); }
  /// Every unit name there is a file or link for, sorted.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Directories that have a folder of this name, as paths of the folders, highest precedence
  /// first.
  [[nodiscard]] std::vector<std::string> folders(const std::string& folder) const;
  /// Names of all folders ending in `suffix` (".wants"), sorted.
  [[nodiscard]] std::vector<std::string> folder_names(std::string_view suffix) const;
  [[nodiscard]] const std::vector<std::string>& directories() const { return directories_; }
  /// Sorted names in a folder, listed once; what cannot be listed is empty and in problems().
  [[nodiscard]] const std::vector<std::string>& list(const std::string& folder) const;
  [[nodiscard]] Followed follow(const std::string& path) const;
  /// Where the link at `path` points, absolute and simplified; nullopt when `path` is no link.
  [[nodiscard]] std::optional<std::string> link_target(const std::string& path) const;
  /// Whether what is at `path`, at the end of all links, makes a unit of that name a masked one.
  [[nodiscard]] bool leads_to_mask(const std::string& path) const;
  /// True when `directory` is one of the search path's, also when a link leads there.
  [[nodiscard]] bool on_path(const std::string& directory) const;
  [[nodiscard]] bool has_mounts() const { return has_mounts_; }
  /// Directories that could not be listed, and files shadowed by another spelling.
  [[nodiscard]] const std::vector<Diagnostic>& problems() const { return problems_; }
  [[nodiscard]] const FileSource& files() const { return files_; }

 private:
  struct Entry {
    std::uint32_t directory;
    bool yaml;
    mutable std::unique_ptr<Candidate> candidate;  ///< made when first asked for
  };

  void scan(std::uint32_t directory);
  void add_entry(std::string name, std::uint32_t directory, bool yaml);
  [[nodiscard]] const Candidate& candidate_of(const std::string& name, const Entry& entry) const;
  [[nodiscard]] Candidate classify(const std::string& name, const Entry& entry) const;
  void classify_link(const std::string& name, const FileInfo& info, Candidate& out) const;
  void classify_followed(const Followed& end, Candidate& out) const;
  void build_reverse() const;
  void collect_aliases(const UnitName& name, std::vector<UnitName>& out) const;
  [[nodiscard]] const Candidate* step(UnitName& current, Resolution& out) const;
  [[nodiscard]] std::string real_directory(const std::string& directory) const;

  const FileSource& files_;
  std::string root_;
  std::vector<std::string> directories_;
  std::unordered_map<std::string, std::uint32_t> real_directories_;
  std::unordered_map<std::string, std::vector<Entry>> entries_;
  std::map<std::string, std::vector<std::uint32_t>> folders_;
  mutable std::unordered_map<std::string, std::string> real_cache_;
  mutable std::unordered_map<std::string, std::vector<std::string>> lists_;
  mutable std::unordered_map<std::string, std::vector<std::string>> reverse_;
  mutable bool reverse_built_ = false;
  mutable std::vector<Diagnostic> problems_;
  bool has_mounts_ = false;
};

/// "/a/./b/../c//" without dots and doubled slashes; links are not looked at.
std::string simplify_path(std::string_view path);
std::string_view base_name(std::string_view path);
std::string_view directory_name(std::string_view path);
/// "foo.service" of "foo.service.yaml"; `yaml` says whether there was something to take away.
std::string_view strip_yaml(std::string_view name, bool& yaml);
/// Whether units of this type can have other names.
bool may_have_aliases(UnitType type);
/// Whether a unit called `alias` may be another name of `target` (systemd.unit(5), "aliases"); the
/// empty string, or why not.
std::string alias_problem(const UnitName& alias, const UnitName& target);

}  // namespace pidward::unit
