#include "sim/engine/simgrid_platform.h"

#include <string>

#include <dlfcn.h>

#include "base/error.h"

namespace moesim::engine {
namespace {

MakeSimgridPlatform load() {
  void* const module = dlopen(MOESIM_SIMGRID_MODULE, RTLD_LAZY | RTLD_LOCAL);
  void* const symbol = module != nullptr ? dlsym(module, "moesim_simgrid_platform") : nullptr;
  if (symbol == nullptr) throw base::InternalError(std::string("SimGrid could not be loaded: ") + dlerror());
  return reinterpret_cast<MakeSimgridPlatform (*)()>(symbol)();
}

}  // namespace

MakeSimgridPlatform load_simgrid() {
  static const MakeSimgridPlatform make = load();
  return make;
}

}  // namespace moesim::engine
