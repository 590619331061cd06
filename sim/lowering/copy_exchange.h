// The common form of MoE communication kernels: every rank's thread blocks start up, then copy messages to all other
// ranks, through their own copy loop and over the links, whichever is slower; what follows the last byte of a rank is
// its tail.
//
//   start[r]         launch and set-up: nothing moves before it.
//   send_loop[r]     time that the thread blocks of rank r need for all messages that it sends (those to itself
//                    included), if nothing else binds; the loop serves all of r's flows, so a byte costs the same
//                    share of it wherever it goes.
//   receive_loop[r]  the same for all messages that r receives.
//   tail[r]          from the last byte that reaches r until it is done.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/engine/task_graph.h"
#include "sim/lowering/network.h"

namespace moesim::lowering {

struct CopyExchange {
  std::string name;
  std::int32_t ranks = 0;
  std::vector<double> bytes;         // [ranks][ranks] source-major; the diagonal is copied within the GPU
  std::vector<double> start;         // [ranks] s
  std::vector<double> send_loop;     // [ranks] s; empty: never binds
  std::vector<double> receive_loop;  // [ranks] s; empty: never binds
  std::vector<double> tail;          // [ranks] s; empty: 0
  LinkShares shares;
  std::vector<engine::SmHold> holds;  // SMs that the kernel takes while it runs
};

struct LoweredExchange {
  engine::ExchangeEvents events;       // done[rank]: the rank has what it receives
  std::vector<engine::EventId> start;  // [ranks] when the rank's kernel starts
  double logical_bytes = 0;  // of all ranks, as the kernel's authors count them for a bandwidth; 0: they do not
};

// start[rank] waits for after[rank] (all at time 0 if empty). done[rank] of the result is when the rank has all that it
// receives and its tail is over. A rank that neither sends nor receives is done after its start.
LoweredExchange add_copy_exchange(Network& network, const CopyExchange& copy, std::span<const engine::EventId> after);

}  // namespace moesim::lowering
