# Reads compile_commands.json and writes clang-tidy's work into OUT: as NAME.cpp or NAME.c the sources to check
# together, as NAME.flags how they are compiled, and as "unused" the using-declarations that nothing needs. Prints the
# names.
# Most of clang-tidy's time goes into the headers, so sources of one target are checked as one, as far as the names of
# their anonymous namespaces do not clash.
#   awk -v root=DIR -v out=DIR -f tidy_batches.awk compile_commands.json

function last_word(text) {
  sub(/[^A-Za-z0-9_]+$/, "", text)
  sub(/^.*[^A-Za-z0-9_]/, "", text)
  return text
}

# The name that a line of an anonymous namespace, or a test case, declares; clang-format puts declarations into the
# first column.
function declared(line, hidden) {
  if (line ~ /^(TEST|TEST_F|TEST_P)\(/) {
    gsub(/[^A-Za-z0-9_,]/, "", line)
    return line
  }
  if (line ~ /^int main\(/) return "main"
  if (!hidden || line !~ /^[A-Za-z]/ || line ~ /^(template|namespace|using namespace|using enum)/ ||
      line ~ /^(public|private|protected|static_assert|INSTANTIATE_)/) return ""
  if (line ~ /^(struct|class|enum|union)/) {
    sub(/[:{;].*/, "", line)
    sub(/ final *$/, "", line)
    return last_word(line)
  }
  sub(/[(={;[].*/, "", line)
  return last_word(line)
}

# What a source declares for itself: names[NAME] is how. Two sources may both say "using a::b;", but each has to use it:
# clang-tidy's own check for that looks at the main file only.
function names_of(source, names,    line, hidden, name, words, n, count) {
  hidden = 0
  split("", count)
  while ((getline line < source) > 0) {
    if (line ~ /^namespace \{/) hidden = 1
    else if (line ~ /^\}  \/\/ namespace$/) hidden = 0
    else {
      name = declared(line, hidden || line ~ /^(static|using) /)
      if (name != "") names[name] = line ~ /^using [^=]*;/ ? line : source
    }
    sub(/\/\/.*/, "", line)
    n = split(line, words, /[^A-Za-z0-9_]+/)
    for (; n > 0; --n) ++count[words[n]]
  }
  close(source)
  for (name in names)
    if (names[name] ~ /^using / && count[name] < 2) print source ": not used: " names[name] > (out "/unused")
}

# Splits a command line's flags: macros[NAME] is the value, the return is what sources of one batch must agree on;
# folders of headers are collected in `folders`. How well it is optimised is nothing to clang-tidy.
function agreed(flags, macros,    words, n, i, rest, name) {
  split("", macros)
  folders = ""
  n = split(flags, words, " ")
  for (i = 1; i <= n; ++i) {
    if (words[i] ~ /^-D/) {
      name = words[i]
      sub(/=.*/, "", name)
      macros[name] = words[i]
    } else if (words[i] ~ /^-I/) {
      folders = folders " " words[i]
    } else if (words[i] == "-isystem") {
      folders = folders " -isystem " words[++i]
    } else if (words[i] !~ /^-(O|g|fPI)/) {
      rest = rest " " words[i]
    }
  }
  return rest
}

# The first batch of sources compiled alike in which the names are free; it takes them.
function batch_of(alike, names,    name, batch, free) {
  for (batch = 0;; ++batch) {
    free = size[alike, batch] < 40
    for (name in names)
      if ((alike, batch, name) in taken && taken[alike, batch, name] != names[name]) free = 0
    if (free) break
  }
  for (name in names) taken[alike, batch, name] = names[name]
  ++size[alike, batch]
  return batch
}

function add(source, flags, target,    suffix, alike, names, macros, macro, key, file) {
  suffix = source ~ /\.c$/ ? ".c" : ".cpp"
  split("", names)
  if (suffix == ".cpp") names_of(source, names)
  alike = agreed(flags, macros)
  for (macro in macros) names[macro] = macros[macro]
  # C sources take no time to speak of.
  key = suffix == ".c" ? source : alike SUBSEP batch_of(alike, names)
  if (!(key in name_of)) {
    name_of[key] = target "-" ++batches
    flags_of[key] = alike
    printf "" > (out "/" name_of[key] suffix)
    print name_of[key] suffix
  }
  for (macro in macros) {
    if (index(flags_of[key] " ", " " macros[macro] " ") == 0) flags_of[key] = flags_of[key] " " macros[macro]
  }
  if (index(flags_of[key], folders) == 0) flags_of[key] = flags_of[key] folders
  file = out "/" name_of[key] suffix
  print "#include \"" source "\"  // NOLINT(bugprone-suspicious-include)" >> file
  close(file)
}

/^  "command": / {
  flags = $0
  sub(/^  "command": "/, "", flags)
  gsub(/\\"/, "\"", flags)
  gsub(/\\\\/, "\\", flags)
  source = flags
  sub(/^.* -c /, "", source)
  sub(/",?$/, "", source)
  if (index(source, root "/") != 1 || source in seen || index(source, root "/build") == 1) next
  seen[source] = 1
  target = flags
  sub(/^.*CMakeFiles\//, "", target)
  sub(/\.dir\/.*/, "", target)
  sub(/ -o .*/, "", flags)
  sub(/^([^ ]*ccache )?[^ ]+ /, "", flags)
  add(source, flags, target)
}

END {
  for (key in name_of) print flags_of[key] > (out "/" name_of[key] ".flags")
}
