// How tokens travel: one small file per family of communication kernels, each a way to lower a traffic matrix to
// exchanges. To add one: a class in communication_<family>.cc and an entry in communication.cc.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "calibration/profile/profile.h"
#include "sim/engine/task_graph.h"
#include "sim/lowering/copy_exchange.h"
#include "sim/lowering/expert_compute.h"
#include "sim/lowering/moe_tokens.h"
#include "sim/lowering/network.h"
#include "topology/cluster.h"
#include "workloads/model.h"
#include "workloads/traffic.h"

namespace moesim::lowering {

// One exchange to lower: `tokens` as they go (dispatch) or reversed (combine: each rank returns one vector for every
// token that it received, reduced over its experts where the kernel sends one copy per rank).
struct TokenExchange {
  std::string name;
  const workloads::Traffic* traffic = nullptr;
  bool reversed = false;
  base::Bytes bytes_per_token;
  // For kernels that are not ideal.
  const MoeTokens* tokens = nullptr;
  const workloads::Model* model = nullptr;
  const profile::Profile* profile = nullptr;
  std::span<const GpuResources> gpus;  // by rank: where SMs are taken from compute
};

// What of a layer's routing a kernel needs beside the traffic matrix.
struct TokenNeeds {
  bool selections = false;
  bool nodes = false;  // distinct tokens per node
};

struct KernelOptions {
  double sms = 0;    // budget of a kernel that has one; 0: its default
  bool hook = true;  // low latency: SMs are free while tokens travel, a hook receives them
};

class CommunicationKernel {
 public:
  virtual ~CommunicationKernel() = default;
  virtual std::string_view name() const = 0;
  // What the results should say of it: "communication kernel ideal: ... (assumed)".
  virtual std::vector<std::string> assumptions() const = 0;
  // Half-width of the 80 % interval of log(true / predicted) of its time; 0: none known.
  virtual double log_error(const topology::Router& /*router*/, const profile::Profile& /*profile*/,
                           bool /*reversed*/) const {
    return 0;
  }
  virtual TokenNeeds needs() const { return {}; }
  // Whether every token goes to all ranks, those that need none of it included.
  virtual bool gathers_all() const { return false; }
  // Whether dispatch, experts and combine are one kernel: fused_moe.h is lowered instead of this.
  virtual bool fused() const { return false; }
  // Why it cannot run there, "" if it can: "needs NVLink between the GPUs of a node".
  virtual std::string refusal(const topology::Cluster& cluster, const profile::Profile& profile) const = 0;
  // Throws InputError, without place, if it cannot run there; it names the kernels that can.
  void check(const topology::Cluster& cluster, const profile::Profile& profile) const;
  // Adds the exchange; the kernel of a rank waits for after[rank] (empty: time 0).
  virtual LoweredExchange lower(Network& network, const TokenExchange& exchange,
                                std::span<const engine::EventId> after) const = 0;
};

std::vector<std::string> communication_kernels();
// Throws InputError for an unknown name.
std::unique_ptr<CommunicationKernel> make_communication_kernel(std::string_view name,
                                                               const KernelOptions& options = {});
// Those that can run there, "ideal" included.
std::vector<std::string> communication_kernels(const topology::Cluster& cluster, const profile::Profile& profile);
// What "auto" stands for: what frameworks run on such a cluster, and why, in a few words. `prompts`: tokens of prompts
// are among those of the step.
struct KernelChoice {
  std::string name;
  std::string reason;
};
KernelChoice choose_communication_kernel(const topology::Cluster& cluster, const profile::Profile& profile,
                                         bool prompts);

// The NVLink domains of the cluster as nodes of a MoE kernel: 0 if its GPUs do not fall into contiguous domains of
// equal size.
std::int32_t nvlink_domains(const topology::Cluster& cluster);

// Counts of a layer's routing as kernels read them; what was not asked for stays empty.
MoeTokens moe_tokens(const workloads::LayerRouting& routing, const workloads::Placement& placement,
                     const workloads::Traffic& traffic, std::int32_t tokens_per_rank, std::int32_t nodes,
                     const TokenNeeds& needs);

// One per file.
std::unique_ptr<CommunicationKernel> make_ideal(const KernelOptions& options);
std::unique_ptr<CommunicationKernel> make_deepep_low_latency(const KernelOptions& options);
std::unique_ptr<CommunicationKernel> make_deepep_normal(const KernelOptions& options);
std::unique_ptr<CommunicationKernel> make_nvlink_one_sided(const KernelOptions& options);
std::unique_ptr<CommunicationKernel> make_nvlink_two_sided(const KernelOptions& options);
std::unique_ptr<CommunicationKernel> make_nccl_alltoall(const KernelOptions& options);
std::unique_ptr<CommunicationKernel> make_allgather_reducescatter(const KernelOptions& options);
std::unique_ptr<CommunicationKernel> make_hierarchical_2d(const KernelOptions& options);
std::unique_ptr<CommunicationKernel> make_fused_moe(const KernelOptions& options);

}  // namespace moesim::lowering
