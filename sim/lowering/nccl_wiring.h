// What the lowerings of NCCL's collectives share: launches, paths with a protocol's share of each link, copies inside a
// GPU. Private to sim/lowering/nccl*.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "sim/lowering/nccl.h"

namespace moesim::lowering {

// Shares of the raw rate that a protocol's data gets, by what a link joins; flags are counted in.
struct WireShares {
  double direct = 1;   // NVLink, or PCIe away from a CPU
  double at_cpu = 1;   // PCIe at a CPU
  double network = 1;  // NICs
};

class NcclWiring {
 public:
  NcclWiring(Network& network, std::string name, std::int32_t ranks, const profile::KernelParameters& parameters);

  Network& network() { return *network_; }
  engine::TaskGraph& graph() { return network_->graph(); }
  std::int32_t ranks() const { return ranks_; }
  const std::string& name() const { return name_; }
  double microseconds(std::string_view parameter) const { return parameters_->at(parameter) * 1e-6; }
  double rate(std::string_view parameter) const { return parameters_->at(parameter) * 1e9; }  // of GB/s
  double number(std::string_view parameter) const { return parameters_->at(parameter); }

  // The launch of the kernel on every rank; returns the event of each rank after it.
  std::vector<engine::EventId> launch(double seconds, std::span<const engine::EventId> after);
  // The links from one rank to another, each byte taking 1 / share of them.
  engine::PathId path(std::int32_t from, std::int32_t to, const WireShares& shares, double latency_seconds);
  // The links out of a rank's GPU and into it, appended with this consumption per byte.
  void add_links_out(std::int32_t rank, double per_byte, std::vector<engine::Use>& uses);
  void add_links_in(std::int32_t rank, double per_byte, std::vector<engine::Use>& uses);
  bool leaves_node(std::int32_t from, std::int32_t to) const;

  // A flow of `bytes` from every rank to the next (none if bytes is 0), at most at `cap` bytes/s each.
  engine::ExchangeEvents ring(const std::string& stage, double bytes, double cap, const WireShares& shares,
                              double latency_seconds, std::span<const engine::EventId> after);
  // Every rank copies bytes[rank] within its GPU.
  engine::ExchangeEvents copy(const std::vector<double>& bytes, double bytes_per_second,
                              std::span<const engine::EventId> after);
  engine::ExchangeEvents add(const std::string& stage, std::vector<engine::Flow> flows,
                             std::span<const engine::EventId> after,
                             std::vector<std::vector<std::int32_t>> receiver_groups = {});
  std::vector<engine::EventId> done(const engine::ExchangeEvents& events) const;

 private:
  topology::Port port_of(engine::ResourceId resource) const;

  Network* network_;
  std::string name_;
  std::int32_t ranks_;
  const profile::KernelParameters* parameters_;
};

// In-switch all-reduce of `bytes`, and the all-reduce over trees of nodes; both after the launches.
engine::ExchangeEvents nccl_nvls(NcclWiring& wiring, double bytes, std::span<const engine::EventId> launched);
engine::ExchangeEvents nccl_tree(NcclWiring& wiring, double bytes, std::int32_t gpus_per_node, double cap,
                                 const WireShares& shares, double hop_seconds, double network_hop_seconds,
                                 double start_seconds, std::span<const engine::EventId> launched);

}  // namespace moesim::lowering
