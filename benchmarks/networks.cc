#include "benchmarks/networks.h"

#include "base/json.h"
#include "sim/lowering/network.h"
#include "topology/cluster.h"
#include "topology/routing.h"

namespace moesim::benchmarks {
namespace {

using base::Duration;
using engine::PathId;
using engine::ResourceId;
using engine::ResourceKind;
using engine::TaskGraph;

std::vector<ResourceId> add_links(TaskGraph& graph, const std::string& name, std::int32_t count, double capacity) {
  std::vector<ResourceId> links;
  for (std::int32_t i = 0; i < count; ++i)
    links.push_back(graph.add_resource({name + std::to_string(i), ResourceKind::Link, capacity, {}}));
  return links;
}

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }

}  // namespace

PathId BenchNetwork::path(std::int32_t from, std::int32_t to) {
  if (paths_.empty()) paths_.assign(at(gpus) * at(gpus), -1);
  std::int64_t& known = paths_[at(from) * at(gpus) + at(to)];
  if (known < 0) known = make_path(graph, from, to).value;
  return PathId(static_cast<std::uint32_t>(known));
}

engine::ExchangeEvents BenchNetwork::add(const Matrix& matrix, std::span<const engine::EventId> after,
                                         std::int32_t first) {
  engine::Exchange exchange;
  exchange.name = name;
  exchange.ranks = static_cast<std::int32_t>(matrix.size());
  for (std::int32_t s = 0; s < exchange.ranks; ++s)
    for (std::int32_t r = 0; r < exchange.ranks; ++r)
      if (matrix[at(s)][at(r)] > 0) exchange.flows.push_back({path(first + s, first + r), s, r, matrix[at(s)][at(r)]});
  return graph.add_exchange(std::move(exchange), after);
}

BenchNetwork one_switch(std::int32_t gpus) {
  BenchNetwork network("one switch", gpus);
  const auto up = add_links(network.graph, "up", gpus, 450e9), down = add_links(network.graph, "down", gpus, 450e9);
  network.make_path = [=](TaskGraph& graph, std::int32_t from, std::int32_t to) {
    return graph.add_path(std::vector<engine::Use>{{up[at(from)]}, {down[at(to)]}}, Duration(1e-6));
  };
  return network;
}

BenchNetwork cluster(const std::string& json) {
  struct Routed {
    topology::Cluster cluster;
    topology::Router router;
    TaskGraph* graph = nullptr;
    std::unique_ptr<lowering::Network> network;
    explicit Routed(topology::Cluster c) : cluster(std::move(c)), router(cluster) {}
  };
  const base::JsonDocument document = base::parse_json(json, "benchmark");
  auto routed = std::make_shared<Routed>(topology::read_cluster(base::JsonNode(document)));
  BenchNetwork network(routed->cluster.name, static_cast<std::int32_t>(routed->cluster.gpus.size()));
  network.make_path = [routed](TaskGraph& graph, std::int32_t from, std::int32_t to) {
    if (routed->graph != &graph) {
      routed->network = std::make_unique<lowering::Network>(graph, routed->router);
      routed->graph = &graph;
    }
    return routed->network->path(from, to);
  };
  return network;
}

BenchNetwork hgx_rails(std::int32_t nodes) {
  return cluster(R"({"preset": "hgx_h200", "nodes": )" + std::to_string(nodes) + "}");
}

BenchNetwork pcie_tree() { return cluster(R"({"preset": "pcie_rtx_pro_6000_8"})"); }

BenchNetwork leaf_spine(std::int32_t gpus) {
  return cluster(R"({"leaf_spine": {"gpus": )" + std::to_string(gpus) +
                 R"(, "gpu": "h800", "bandwidth": "50 GB/s", "latency": "250 ns", "leaf_size": 8, "spines": 4,
                     "oversubscription": 2}})");
}

// GPU g of a domain has its own NIC on rail g mod rails; a message goes out by the sender's NIC, in by the NIC of the
// receiver's domain on that rail that is nearest in number, and over NVLink to the receiver (a relay) if need be.
BenchNetwork rail_domains(std::int32_t domains, std::int32_t size, std::int32_t rails) {
  constexpr double kNvlink = 900e9, kNic = 100e9;
  const std::int32_t gpus = domains * size;
  BenchNetwork network("domains over rails", gpus);
  TaskGraph& graph = network.graph;
  const auto nv_out = add_links(graph, "nvlink out", gpus, kNvlink),
             nv_in = add_links(graph, "nvlink in", gpus, kNvlink);
  const auto out = add_links(graph, "nic out", gpus, kNic), in = add_links(graph, "nic in", gpus, kNic);
  network.make_path = [=](TaskGraph& g, std::int32_t from, std::int32_t to) {
    std::vector<engine::Use> uses;
    if (from / size == to / size) {
      uses = {{nv_out[at(from)]}, {nv_in[at(to)]}};
      return g.add_path(uses, Duration(1e-6));
    }
    const std::int32_t in_tray = to % size / rails * rails;
    const std::int32_t relay = to / size * size + in_tray + from % size % rails;
    uses = {{out[at(from)]}, {in[at(relay)]}};
    if (relay != to) {
      uses.push_back({nv_out[at(relay)]});
      uses.push_back({nv_in[at(to)]});
    }
    return g.add_path(uses, Duration(4e-6));
  };
  return network;
}

}  // namespace moesim::benchmarks
