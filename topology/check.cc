#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include <boost/graph/connected_components.hpp>

#include "topology/cluster.h"
#include "topology/routing.h"
#include "topology/summary.h"

namespace moesim::topology {
namespace {

using base::Bandwidth;
using base::Duration;

// Above these a rate is more likely a slip of the unit than hardware.
constexpr Bandwidth kMostNvLink{10e12};
constexpr Bandwidth kMostPcie{256e9};
constexpr Bandwidth kMostNetwork{1e12};
constexpr Duration kSlowLink{1e-3};
constexpr Duration kSlowestLink{1.0};

class Checker {
 public:
  Checker(const Cluster& cluster, const base::JsonNode* origin)
      : cluster_(cluster), graph_(cluster.graph), origin_(origin) {}

  std::vector<std::string> run() {
    check_gpus();
    check_links();
    check_connected();
    check_domains();
    check_routes();
    warn_rates();
    warn_asymmetry();
    return std::move(warnings_);
  }

 private:
  [[noreturn]] void fail(const std::string& problem, const std::string& expected = "") const {
    const std::string place = origin_ == nullptr ? "" : origin_->pointer().empty() ? "/" : origin_->pointer();
    throw base::InputError(origin_ == nullptr ? "" : origin_->source(), place, problem, expected);
  }

  const std::string& name(DeviceId id) const { return graph_.device(id).name; }
  std::string ends(const Link& link) const { return name(link.a) + " - " + name(link.b); }

  void check_gpus() const {
    if (cluster_.gpus.empty()) fail("a cluster without GPUs", "at least one GPU");
    const Device& first = graph_.device(cluster_.gpus.front());
    for (const DeviceId id : cluster_.gpus) {
      const Device& gpu = graph_.device(id);
      if (gpu.model != first.model)
        fail("mixed GPU models are not supported: " + first.name + " is \"" + first.model + "\" and " + gpu.name +
             " is \"" + gpu.model + "\"");
      if (gpu.node < 0) fail(gpu.name + " stands in no node");
    }
  }

  void check_links() const {
    std::set<std::tuple<DeviceId, DeviceId, LinkKind>> seen;
    for (const Link& link : graph_.links()) {
      if (!(link.bandwidth > Bandwidth(0)) || !std::isfinite(link.bandwidth.value()))
        fail("link " + ends(link) + " has no bandwidth", "a bandwidth above zero");
      if (!(link.latency >= Duration(0)) || link.latency > kSlowestLink)
        fail("link " + ends(link) + " has a latency of " + to_string(link.latency), "at most 1 s");
      if (!seen.emplace(std::min(link.a, link.b), std::max(link.a, link.b), link.kind).second)
        fail("two " + std::string(to_string(link.kind)) + " links " + ends(link),
             "one link with the bandwidth and lanes of all");
    }
  }

  void check_connected() const {
    std::vector<std::size_t> part(graph_.num_devices());
    const auto by_vertex =
        boost::make_iterator_property_map(part.begin(), boost::get(boost::vertex_index, graph_.adjacency()));
    if (boost::connected_components(graph_.adjacency(), by_vertex) == 1) return;
    const auto other = std::find_if(part.begin(), part.end(), [&](std::size_t p) { return p != part.front(); });
    fail("the cluster is not connected: nothing joins " + name(DeviceId(0U)) + " and " +
         name(DeviceId(static_cast<std::size_t>(other - part.begin()))));
  }

  void check_domains() const {
    for (const Link& link : graph_.links()) {
      if (link.kind != LinkKind::NvLink) continue;
      const std::int32_t a = graph_.device(link.a).domain;
      const std::int32_t b = graph_.device(link.b).domain;
      if (a == b && a >= 0) continue;
      const auto text = [](std::int32_t domain) { return domain < 0 ? "none" : std::to_string(domain); };
      fail("NVLink " + ends(link) + " joins devices of the domains " + text(a) + " and " + text(b),
           "one NVLink domain");
    }
  }

  void check_routes() const {
    const Router router(cluster_);
    const auto pair = router.unreachable_pair();
    if (!pair) return;
    const auto gpu = [&](std::int32_t rank) { return name(cluster_.gpus[static_cast<std::size_t>(rank)]); };
    fail("no route from " + gpu(pair->first) + " to " + gpu(pair->second) +
         ": traffic does not pass through other GPUs, except from a NIC over NVLink");
  }

  // One warning per kind and direction, however many links are odd.
  void warn_rates() {
    std::set<std::string> said;
    const auto warn = [&](const std::string& what, const std::string& text) {
      if (said.insert(what).second) warnings_.push_back(text);
    };
    for (const Link& link : graph_.links()) {
      const Bandwidth most = link.kind == LinkKind::Pcie      ? kMostPcie
                             : link.kind == LinkKind::Network ? kMostNetwork
                                                              : kMostNvLink;
      const std::string kind(to_string(link.kind));
      if (link.bandwidth > most)
        warn(kind, kind + " link " + ends(link) + " has " + to_string(link.bandwidth) + " per direction, above " +
                       to_string(most) + ": check the unit");
      if (link.latency > kSlowLink)
        warn("latency", "link " + ends(link) + " has a latency of " + to_string(link.latency) + ", above " +
                            to_string(kSlowLink) + ": check the unit");
    }
  }

  void warn_asymmetry() {
    for (std::size_t k = 0; k < kLinkKindCount; ++k) {
      const auto kind = static_cast<LinkKind>(k);
      const PortTotals first = totals_of(graph_, cluster_.gpus.front(), kind);
      for (const DeviceId id : cluster_.gpus) {
        const PortTotals here = totals_of(graph_, id, kind);
        if (here.lanes == first.lanes && here.bandwidth == first.bandwidth) continue;
        const auto text = [](const PortTotals& t) {
          return std::to_string(t.lanes) + " lanes of " + to_string(t.bandwidth) + " together";
        };
        warnings_.push_back("the GPUs differ in their " + std::string(to_string(kind)) + " links: " +
                            name(cluster_.gpus.front()) + " has " + text(first) + ", " + name(id) + " " + text(here));
        break;
      }
    }
  }

  const Cluster& cluster_;
  const Graph& graph_;
  const base::JsonNode* origin_;
  std::vector<std::string> warnings_;
};

}  // namespace

std::vector<std::string> check(const Cluster& cluster, const base::JsonNode* origin) {
  return Checker(cluster, origin).run();
}

}  // namespace moesim::topology
