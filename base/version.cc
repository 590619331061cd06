#include "base/version.h"

namespace moesim::base {

const char* version() { return MOESIM_VERSION; }

}  // namespace moesim::base
