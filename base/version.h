// The version of the program, as results carry it.
#pragma once

namespace moesim::base {

const char* version();

}  // namespace moesim::base
