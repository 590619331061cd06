#include "sim/engine/flow_classes.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace moesim::engine {
namespace {

// A resource named several times counts with the sum.
void normalise(std::span<const Use> uses, std::vector<Use>& out) {
  out.clear();
  for (const Use& use : uses) {
    const auto same = std::find_if(out.begin(), out.end(), [&](const Use& o) { return o.resource == use.resource; });
    if (same == out.end()) {
      out.push_back(use);
    } else {
      same->per_unit += use.per_unit;
    }
  }
}

}  // namespace

FlowClasses::FlowClasses(const TaskGraph& graph) : graph_(graph), table_(64, kNone) {
  path_class_.assign(graph.num_paths(), kNone);
  std::vector<Use> uses;
  for (const Exchange& exchange : graph.exchanges()) {
    for (const Flow& flow : exchange.flows) {
      std::uint32_t& uncapped = path_class_[flow.path.index()];
      if (flow.rate_cap == kNoCap && uncapped != kNone) continue;
      normalise(graph.path_uses(flow.path), uses);
      const std::uint32_t klass = intern(uses, flow.rate_cap);
      if (flow.rate_cap == kNoCap) uncapped = klass;
    }
  }
  for (const Compute& compute : graph.computes()) {
    normalise(compute.uses, uses);
    compute_class_.push_back(intern(uses, 1));
  }
}

std::uint32_t FlowClasses::of(const Flow& flow) const {
  if (flow.rate_cap == kNoCap) return path_class_[flow.path.index()];
  std::vector<Use> uses;
  normalise(graph_.path_uses(flow.path), uses);
  return table_[slot_for(uses, flow.rate_cap)];
}

std::uint32_t FlowClasses::intern(std::span<const Use> uses, double cap) {
  const std::size_t slot = slot_for(uses, cap);
  if (table_[slot] != kNone) return table_[slot];
  const auto klass = static_cast<std::uint32_t>(routes_.classes());
  table_[slot] = klass;
  for (const Use& use : uses) {
    routes_.link.push_back(use.resource.value);
    routes_.weight.push_back(use.per_unit);
  }
  routes_.begin.push_back(static_cast<std::uint32_t>(routes_.link.size()));
  routes_.rate_cap.push_back(cap);
  class_hash_.push_back(hash(uses, cap));
  if (2 * routes_.classes() > table_.size()) grow();
  return klass;
}

std::uint64_t FlowClasses::hash(std::span<const Use> uses, double cap) {
  std::uint64_t h = std::bit_cast<std::uint64_t>(cap);
  const auto mix = [&](std::uint64_t v) {
    h = (h ^ v) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
  };
  for (const Use& use : uses) {
    mix(use.resource.value);
    mix(std::bit_cast<std::uint64_t>(use.per_unit));
  }
  mix(uses.size());
  return h;
}

std::size_t FlowClasses::slot_for(std::span<const Use> uses, double cap) const {
  const std::uint64_t h = hash(uses, cap);
  std::size_t slot = h & (table_.size() - 1);
  for (; table_[slot] != kNone; slot = (slot + 1) & (table_.size() - 1)) {
    const std::uint32_t k = table_[slot];
    if (class_hash_[k] != h || routes_.rate_cap[k] != cap || routes_.begin[k + 1] - routes_.begin[k] != uses.size())
      continue;
    bool same = true;
    for (std::size_t i = 0; i < uses.size() && same; ++i) {
      const std::size_t hop = routes_.begin[k] + i;
      same = routes_.link[hop] == uses[i].resource.value && routes_.weight[hop] == uses[i].per_unit;
    }
    if (same) break;
  }
  return slot;
}

void FlowClasses::grow() {
  table_.assign(2 * table_.size(), kNone);
  for (std::uint32_t k = 0; k < class_hash_.size(); ++k) {
    std::size_t slot = class_hash_[k] & (table_.size() - 1);
    while (table_[slot] != kNone) slot = (slot + 1) & (table_.size() - 1);
    table_[slot] = k;
  }
}

}  // namespace moesim::engine
