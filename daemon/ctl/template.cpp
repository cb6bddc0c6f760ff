// Templates: they are no units, and the daemon knows nothing of them until there is an instance.
#include "bus/object_path.hpp"
#include "ctl/verbs.hpp"
#include "runtime/posix_files.hpp"
#include "runtime/system_facts.hpp"
#include "unit/loader.hpp"

namespace pidward::ctl {

unit::UnitSpecPtr load_template(Session& session, const unit::UnitName& name) {
  const auto path =
      session.client().property(bus::kManagerPath, bus::kManagerInterface, "UnitPath");
  if (!path) return nullptr;
  const runtime::PosixFileSource source;
  const auto scope = session.options().place.user ? unit::Scope::user : unit::Scope::system;
  unit::LoaderContext context{.files = &source, .scope = scope};
  context.specifiers = runtime::specifier_context(scope);
  context.path.directories = path->strings();
  const unit::UnitLoader loader(std::move(context));
  const auto fragment = loader.load(name)->fragment;
  if (!fragment) return nullptr;
  unit::UnitSpecPtr instance = loader.load_file(fragment->path);
  return instance->fragment ? instance : nullptr;
}

}  // namespace pidward::ctl
