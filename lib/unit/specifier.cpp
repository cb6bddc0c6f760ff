#include "unit/specifier.hpp"

#include <fmt/core.h>

namespace pidward::unit {
namespace {

/// One specifier's value, with the name a message gives it when there is none.
struct Meaning {
  std::string value;
  std::string_view what;
  bool may_be_empty = false;
};

Meaning always(std::string_view value) {
  return {std::string(value), {}, true};
}

bool may_be_specifier(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string_view last_dash_part(std::string_view prefix) {
  const std::size_t dash = prefix.rfind('-');
  return dash == std::string_view::npos ? prefix : prefix.substr(dash + 1);
}

std::string_view directory_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {};
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

Result<Meaning> unescaped(std::string_view text) {
  PIDWARD_TRY(std::string plain, unescape(text));
  return always(plain);
}

/// %f: the instance, or without one the prefix, as a path from the root.
Result<Meaning> as_file_name(const UnitName& name) {
  const std::string_view text = name.is_instance() ? name.instance() : name.prefix();
  PIDWARD_TRY(std::string plain, unescape(text));
  if (plain.empty() || plain.front() != '/') plain.insert(0, "/");
  return always(plain);
}

/// The specifiers that speak of the unit's own name and file. `known` says whether it is one of
/// them.
Result<Meaning> of_unit(char specifier, const UnitName& name, std::string_view fragment_path,
                        bool& known) {
  switch (specifier) {
    case '%':
      return always("%");
    case 'n':
      return always(name.str());
    case 'N':
      return always(name.stem());
    case 'p':
      return always(name.prefix());
    case 'P':
      return unescaped(name.prefix());
    case 'i':
      return always(name.instance());
    case 'I':
      return unescaped(name.instance());
    case 'j':
      return always(last_dash_part(name.prefix()));
    case 'J':
      return unescaped(last_dash_part(name.prefix()));
    case 'f':
      return as_file_name(name);
    case 'y':
      return Meaning{std::string(fragment_path), "the path of the unit file"};
    case 'Y':
      return Meaning{std::string(directory_of(fragment_path)), "the folder of the unit file"};
    default:
      known = false;
      return Meaning{};
  }
}

/// The specifiers that speak of the system. What os-release lacks is empty, as documented; the rest
/// must be known.
Meaning of_system(char specifier, const UnitName& name, const SpecifierContext& c, bool& known) {
  switch (specifier) {
    case 'a':
      return {c.architecture, "the architecture"};
    case 'A':
      return always(c.os_image_version);
    case 'b':
      return {c.boot_id, "the boot id"};
    case 'B':
      return always(c.os_build_id);
    case 'C':
      return {c.cache_root, "the cache directory"};
    case 'd':
      return {c.credentials_root.empty() ? std::string() : c.credentials_root + "/" + name.str(),
              "the credentials directory"};
    case 'E':
      return {c.config_root, "the configuration directory"};
    case 'g':
      return {c.group_name, "the group's name"};
    case 'G':
      return always(std::to_string(c.gid));
    case 'h':
      return {c.home, "the home directory"};
    case 'H':
      return {c.host_name, "the host name"};
    case 'l':
      return {c.short_host_name, "the short host name"};
    case 'L':
      return {c.logs_root, "the log directory"};
    case 'm':
      return {c.machine_id, "the machine id"};
    case 'M':
      return always(c.os_image_id);
    case 'o':
      return always(c.os_id);
    case 'q':
      return {c.pretty_host_name.empty() ? c.host_name : c.pretty_host_name,
              "the pretty host name"};
    case 's':
      return {c.shell, "the user's shell"};
    case 'S':
      return {c.state_root, "the state directory"};
    case 't':
      return {c.runtime_root, "the runtime directory"};
    case 'T':
      return {c.tmp_root, "the directory for temporary files"};
    case 'u':
      return {c.user_name, "the user's name"};
    case 'U':
      return always(std::to_string(c.uid));
    case 'v':
      return {c.kernel_release, "the kernel release"};
    case 'V':
      return {c.var_tmp_root, "the directory for larger temporary files"};
    case 'w':
      return always(c.os_version_id);
    case 'W':
      return always(c.os_variant_id);
    default:
      known = false;
      return {};
  }
}

Result<Meaning> meaning_of(char specifier, const UnitName& name, const SpecifierContext& context,
                           std::string_view fragment_path) {
  bool known = true;
  auto meaning = of_unit(specifier, name, fragment_path, known);
  if (known) return meaning;
  known = true;
  Meaning system = of_system(specifier, name, context, known);
  if (known) return system;
  return std::move(Error(Errc::syntax, fmt::format("unknown specifier \"%{}\"", specifier)))
      .advise("Write %% for a percent sign");
}

}  // namespace

Result<std::string> expand_specifiers(std::string_view text, const UnitName& name,
                                      const SpecifierContext& context,
                                      std::string_view fragment_path) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0;;) {
    const std::size_t percent = text.find('%', at);
    out += text.substr(at, percent - at);
    if (percent == std::string_view::npos) return out;
    // Only a letter or a digit can be a specifier: in front of anything else, and at the end, a
    // percent sign stands for itself.
    const char specifier = percent + 1 < text.size() ? text[percent + 1] : '\0';
    if (specifier != '%' && !may_be_specifier(specifier)) {
      out += '%';
      at = percent + 1;
      continue;
    }
    auto meaning = meaning_of(specifier, name, context, fragment_path);
    if (!meaning) {
      return std::move(meaning.error()).within(fmt::format("specifier %{}", specifier));
    }
    if (meaning->value.empty() && !meaning->may_be_empty) {
      return Error(Errc::syntax, fmt::format("specifier %{} has no value here: {} is not known",
                                             specifier, meaning->what));
    }
    out += meaning->value;
    at = percent + 2;
  }
}

}  // namespace pidward::unit
