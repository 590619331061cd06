// The kernel "ideal": every source sends to all its receivers at once, at raw link rates, without start-up time and
// without SMs. What no real kernel beats; tagged `assumed`.
#pragma once

#include <memory>

#include "sim/lowering/communication.h"

namespace moesim::lowering {

std::unique_ptr<CommunicationKernel> make_ideal();

}  // namespace moesim::lowering
