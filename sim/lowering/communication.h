// How tokens travel: one small file per communication kernel, each a way to lower a traffic matrix to exchanges.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "sim/engine/task_graph.h"
#include "sim/lowering/network.h"
#include "workloads/traffic.h"

namespace moesim::lowering {

// One exchange to lower: `traffic` as it goes (dispatch) or reversed (combine: each rank returns one reduced vector for
// every token that it received).
struct TokenExchange {
  std::string name;
  const workloads::Traffic* traffic = nullptr;
  bool reversed = false;
  base::Bytes bytes_per_token;
};

class CommunicationKernel {
 public:
  virtual ~CommunicationKernel() = default;
  virtual std::string_view name() const = 0;
  // What the results should say of it: "communication kernel ideal: ... (assumed)".
  virtual std::vector<std::string> assumptions() const = 0;
  // Adds the exchange; start[rank] waits for after[rank] (empty: time 0).
  virtual engine::ExchangeEvents lower(Network& network, const TokenExchange& exchange,
                                       std::span<const engine::EventId> after) const = 0;
};

std::vector<std::string> communication_kernels();
// Throws InputError for an unknown name.
std::unique_ptr<CommunicationKernel> make_communication_kernel(std::string_view name);

}  // namespace moesim::lowering
