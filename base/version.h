// The version of the program, as results carry it.
#pragma once

namespace moesim::base {

inline const char* version() { return MOESIM_VERSION; }

}  // namespace moesim::base
