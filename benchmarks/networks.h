// The networks of the benchmarks: a TaskGraph with resources, and the path of each ordered pair of GPUs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "benchmarks/traffic.h"
#include "sim/engine/task_graph.h"

namespace moesim::benchmarks {

struct BenchNetwork {
  BenchNetwork(std::string its_name, std::int32_t its_gpus) : name(std::move(its_name)), gpus(its_gpus) {}

  std::string name;
  std::int32_t gpus = 0;
  engine::TaskGraph graph;
  std::function<engine::PathId(engine::TaskGraph&, std::int32_t, std::int32_t)> make_path;

  engine::PathId path(std::int32_t from, std::int32_t to);
  // One exchange of the whole matrix among the GPUs first ... first + size - 1.
  engine::ExchangeEvents add(const Matrix& matrix, std::span<const engine::EventId> after = {}, std::int32_t first = 0);

 private:
  std::vector<std::int64_t> paths_;  // [from * gpus + to], -1 where there is none yet
};

BenchNetwork one_switch(std::int32_t gpus);     // 450 GB/s ports, 1 us
BenchNetwork cluster(const std::string& json);  // any cluster, with the routes of topology/routing.h
BenchNetwork hgx_rails(std::int32_t nodes);     // nodes of 8 H200, a NIC each, one switch per rail
BenchNetwork leaf_spine(std::int32_t gpus);     // GPUs on leaves of 8 at 50 GB/s, 2:1, 4 spines, ECMP
BenchNetwork pcie_tree();                       // 8 GPUs below two PCIe switches
BenchNetwork rail_domains(std::int32_t domains, std::int32_t size, std::int32_t rails);  // NVLink domains over rails

}  // namespace moesim::benchmarks
