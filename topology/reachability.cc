// Which pairs of GPUs have no route. Pair by pair this is quadratic, so regular clusters are settled by sets first.
#include <algorithm>
#include <iterator>
#include <set>

#include "topology/routing_state.h"

namespace moesim::topology {
namespace {

using Set = std::set<std::uint32_t>;

bool intersect(const Set& a, const Set& b) {
  return std::any_of(a.begin(), a.end(), [&](std::uint32_t x) { return b.contains(x); });
}

void add_components(Set& components, const ShortestPaths& fabric, DeviceId device) {
  for (const auto& attachment : fabric.attachments(device)) components.insert(fabric.component(attachment.transit));
}

// All GPUs attach to one connected set of switches of the fabric.
bool share_component(const ShortestPaths& fabric, const std::vector<DeviceId>& gpus) {
  std::optional<Set> common;
  for (const DeviceId gpu : gpus) {
    Set here;
    add_components(here, fabric, gpu);
    if (!common) {
      common = here;
      continue;
    }
    Set both;
    std::set_intersection(common->begin(), common->end(), here.begin(), here.end(), std::inserter(both, both.end()));
    common = std::move(both);
    if (common->empty()) return false;
  }
  return true;
}

}  // namespace

std::optional<std::pair<std::int32_t, std::int32_t>> Router::unreachable_pair() const {
  constexpr std::int32_t kMostSearched = 2048;
  const State& s = *state_;
  const auto ranks = static_cast<std::int32_t>(s.gpus.size());
  if (share_component(s.nvlink, s.gpus) || share_component(s.host, s.gpus)) return std::nullopt;

  // Over the network: the parts of the network that a GPU can send into, and those that lead to it.
  std::set<Set> sending;
  std::set<Set> receiving;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    Set out;
    Set in;
    for (const DeviceId nic : s.senders[static_cast<std::size_t>(rank)]) add_components(out, s.network, nic);
    for (const DeviceId nic : s.nics_near(rank))
      if (s.last_leg(nic, rank)) add_components(in, s.network, nic);
    sending.insert(std::move(out));
    receiving.insert(std::move(in));
  }
  const bool all_by_network = std::all_of(sending.begin(), sending.end(), [&](const Set& out) {
    return std::all_of(receiving.begin(), receiving.end(), [&](const Set& in) { return intersect(out, in); });
  });
  if (all_by_network || ranks > kMostSearched) return std::nullopt;

  for (std::int32_t from = 0; from < ranks; ++from)
    for (std::int32_t to = 0; to < ranks; ++to)
      if (from != to && !s.path(from, to)) return std::pair(from, to);
  return std::nullopt;
}

}  // namespace moesim::topology
