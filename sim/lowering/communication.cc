#include "sim/lowering/communication.h"

#include <algorithm>
#include <array>

#include "base/json.h"

namespace moesim::lowering {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<CommunicationKernel> (*make)(const KernelOptions& options);
};

constexpr std::array kKernels{
    Entry{"ideal", make_ideal},
    Entry{"deepep_low_latency", make_deepep_low_latency},
    Entry{"deepep_normal", make_deepep_normal},
    Entry{"nvlink_one_sided", make_nvlink_one_sided},
    Entry{"nvlink_two_sided", make_nvlink_two_sided},
    Entry{"nccl_alltoall", make_nccl_alltoall},
    Entry{"allgather_reducescatter", make_allgather_reducescatter},
    Entry{"hierarchical_2d", make_hierarchical_2d},
    Entry{"fused_moe", make_fused_moe},
};

constexpr std::int32_t kRackDomain = 9;  // GPUs from which an NVLink domain spans hosts: no board has more than 8

}  // namespace

std::vector<std::string> communication_kernels() {
  std::vector<std::string> names;
  for (const Entry& entry : kKernels) names.emplace_back(entry.name);
  return names;
}

std::unique_ptr<CommunicationKernel> make_communication_kernel(std::string_view name, const KernelOptions& options) {
  const auto found = std::find_if(kKernels.begin(), kKernels.end(), [&](const Entry& e) { return e.name == name; });
  if (found == kKernels.end()) {
    throw base::InputError(
        "", "",
        "unknown communication kernel \"" + std::string(name) + "\"" + base::suggestion(name, communication_kernels()),
        "\"auto\" or one of those");
  }
  return found->make(options);
}

std::vector<std::string> communication_kernels(const topology::Cluster& cluster, const profile::Profile& profile) {
  std::vector<std::string> names = communication_kernels();
  std::erase_if(names, [&](const std::string& name) {
    if (name == "ideal") return false;
    return profile.ideal || !make_communication_kernel(name)->refusal(cluster, profile).empty();
  });
  return names;
}

void CommunicationKernel::check(const topology::Cluster& cluster, const profile::Profile& profile) const {
  if (name() == "ideal") return;
  const std::string why = profile.ideal ? "needs a GPU's profile" : refusal(cluster, profile);
  if (why.empty()) return;
  std::string list;
  for (const std::string& other : communication_kernels(cluster, profile))
    list += (list.empty() ? "" : ", ") + other + (make_communication_kernel(other)->fused() ? " (fp4 experts)" : "");
  throw base::InputError("", "", "\"" + std::string(name()) + "\" " + why,
                         "\"auto\", or what can run here: " + list + (profile.ideal ? "; or another profile" : ""));
}

KernelChoice choose_communication_kernel(const topology::Cluster& cluster, const profile::Profile& profile,
                                         bool prompts) {
  if (profile.ideal) return {"ideal", "the profile is ideal"};
  const std::int32_t domains = nvlink_domains(cluster);
  const auto gpus = static_cast<std::int32_t>(cluster.gpus.size());
  if (gpus == 1) return {"ideal", "one GPU sends nothing"};
  if (domains == 0 || domains == gpus) return {"allgather_reducescatter", "no NVLink: vLLM's default path"};
  if (domains == 1 && gpus >= kRackDomain) return {"nvlink_one_sided", "one NVLink domain: TensorRT-LLM's kernel"};
  if (!prompts) return {"deepep_low_latency", "decode on NVLink nodes, as SGLang and vLLM run it"};
  return {"deepep_normal", "prefill on NVLink nodes, as SGLang and vLLM run it"};
}

std::int32_t nvlink_domains(const topology::Cluster& cluster) {
  std::vector<std::int32_t> sizes;
  std::int32_t last = -2;
  for (const topology::DeviceId gpu : cluster.gpus) {
    const std::int32_t domain = cluster.graph.device(gpu).domain;
    if (sizes.empty() || domain != last || domain < 0) sizes.push_back(0);
    ++sizes.back();
    last = domain;
  }
  const bool equal = std::all_of(sizes.begin(), sizes.end(), [&](std::int32_t size) { return size == sizes.front(); });
  return equal ? static_cast<std::int32_t>(sizes.size()) : 0;
}

MoeTokens moe_tokens(const workloads::LayerRouting& routing, const workloads::Placement& placement,
                     const workloads::Traffic& traffic, std::int32_t tokens_per_rank, std::int32_t nodes,
                     const TokenNeeds& needs) {
  MoeTokens tokens;
  tokens.ranks = traffic.ranks;
  tokens.nodes = std::max(nodes, 1);
  tokens.experts_per_rank = static_cast<double>(placement.num_slots()) / traffic.ranks;
  tokens.tokens.assign(static_cast<std::size_t>(traffic.ranks), tokens_per_rank);
  tokens.copies.assign(traffic.tokens.begin(), traffic.tokens.end());
  if (needs.selections) {
    const auto matrix = workloads::selection_matrix(routing, placement, tokens_per_rank);
    tokens.selections.assign(matrix.begin(), matrix.end());
  }
  if (needs.nodes) {
    const auto matrix = workloads::group_matrix(routing, placement, tokens_per_rank, tokens.ranks_per_node());
    tokens.node_copies.assign(matrix.begin(), matrix.end());
  }
  return tokens;
}

}  // namespace moesim::lowering
