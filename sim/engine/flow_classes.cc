#include "sim/engine/flow_classes.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace moesim::engine {
namespace {

// A resource named several times counts with the sum; as they are if there is none such, else in `out`.
std::span<const Use> normalise(std::span<const Use> uses, std::vector<Use>& out) {
  bool repeated = false;
  for (std::size_t i = 1; i < uses.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) repeated |= uses[i].resource == uses[j].resource;
  if (!repeated) return uses;
  out.clear();
  for (const Use& use : uses) {
    const auto same = std::find_if(out.begin(), out.end(), [&](const Use& o) { return o.resource == use.resource; });
    if (same == out.end()) {
      out.push_back(use);
    } else {
      same->per_unit += use.per_unit;
    }
  }
  return out;
}

bool has_own(const Exchange& exchange) { return !exchange.source_use.empty() || !exchange.receiver_use.empty(); }

}  // namespace

FlowClasses::FlowClasses(const TaskGraph& graph) : graph_(graph) {
  path_class_.assign(graph.num_paths(), kNone);
  make_room();
  std::vector<Use> uses, summed;
  for (const Exchange& exchange : graph.exchanges()) {
    first_own_.push_back(has_own(exchange) ? static_cast<std::uint32_t>(routes_.classes()) : kNone);
    for (const Flow& flow : exchange.flows) {
      if (first_own_.back() != kNone) {
        uses.clear();
        graph.each_use(exchange, flow, [&](const Use& use) { uses.push_back(use); });
        add(normalise(uses, summed), flow.rate_cap);
        continue;
      }
      std::uint32_t& uncapped = path_class_[flow.path.index()];
      if (flow.rate_cap == kNoCap && uncapped != kNone) continue;
      const std::uint32_t klass = intern(normalise(graph.path_uses(flow.path), uses), flow.rate_cap);
      if (flow.rate_cap == kNoCap) uncapped = klass;
    }
  }
  for (const Compute& compute : graph.computes()) compute_class_.push_back(intern(normalise(compute.uses, uses), 1));
}

std::size_t FlowClasses::part_of(std::span<const Use> uses) const {
  std::size_t last = 0;
  for (const Use& use : uses) last = std::max(last, use.resource.index() + 1);
  return last;
}

// A part of the table for each resource, twice as large as what may belong there.
void FlowClasses::make_room() {
  std::vector<std::size_t> count(graph_.resources().size() + 1);
  const auto expect = [&](std::span<const Use> uses) { ++count[part_of(uses)]; };
  std::vector<bool> known(graph_.num_paths());
  std::size_t own = 0, hops = 0;
  for (const Exchange& exchange : graph_.exchanges()) {
    if (has_own(exchange)) {
      own += exchange.flows.size();
      for (const Flow& flow : exchange.flows) hops += graph_.path_uses(flow.path).size() + 2;
      continue;
    }
    for (const Flow& flow : exchange.flows) {
      if (flow.rate_cap == kNoCap && known[flow.path.index()]) continue;
      if (flow.rate_cap == kNoCap) known[flow.path.index()] = true;
      expect(graph_.path_uses(flow.path));
    }
  }
  for (const Compute& compute : graph_.computes()) expect(compute.uses);
  routes_.begin.reserve(own + graph_.computes().size());
  routes_.rate_cap.reserve(own + graph_.computes().size());
  routes_.link.reserve(hops + 2 * graph_.computes().size());
  routes_.weight.reserve(hops + 2 * graph_.computes().size());
  parts_.reserve(count.size());
  std::size_t size = 0;
  for (const std::size_t n : count) {
    const std::size_t width = std::bit_ceil(2 * n);
    parts_.push_back({size, width - 1});
    size += width;
  }
  table_.resize(size);
}

std::uint32_t FlowClasses::of_path(const Flow& flow) const {
  if (flow.rate_cap == kNoCap) return path_class_[flow.path.index()];
  std::vector<Use> scratch;
  const std::span<const Use> uses = normalise(graph_.path_uses(flow.path), scratch);
  return table_[slot_for(uses, flow.rate_cap, hash(uses, flow.rate_cap))].klass;
}

std::uint32_t FlowClasses::intern(std::span<const Use> uses, double cap) {
  const std::uint64_t h = hash(uses, cap);
  const std::size_t slot = slot_for(uses, cap, h);
  if (table_[slot].klass != kNone) return table_[slot].klass;
  const std::uint32_t klass = add(uses, cap);
  table_[slot] = {tag(h), klass};
  return klass;
}

std::uint32_t FlowClasses::add(std::span<const Use> uses, double cap) {
  const auto klass = static_cast<std::uint32_t>(routes_.classes());
  for (const Use& use : uses) {
    routes_.link.push_back(use.resource.value);
    routes_.weight.push_back(use.per_unit);
  }
  routes_.begin.push_back(static_cast<std::uint32_t>(routes_.link.size()));
  routes_.rate_cap.push_back(cap);
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

std::size_t FlowClasses::slot_for(std::span<const Use> uses, double cap, std::uint64_t h) const {
  const Part part = parts_[part_of(uses)];
  std::size_t at = h & part.mask;
  for (; table_[part.begin + at].klass != kNone; at = (at + 1) & part.mask) {
    const Entry& entry = table_[part.begin + at];
    if (entry.tag != tag(h)) continue;
    const std::uint32_t k = entry.klass;
    if (routes_.rate_cap[k] != cap || routes_.begin[k + 1] - routes_.begin[k] != uses.size()) continue;
    bool same = true;
    for (std::size_t i = 0; i < uses.size() && same; ++i) {
      const std::size_t hop = routes_.begin[k] + i;
      same = routes_.link[hop] == uses[i].resource.value && routes_.weight[hop] == uses[i].per_unit;
    }
    if (same) break;
  }
  return part.begin + at;
}

}  // namespace moesim::engine
