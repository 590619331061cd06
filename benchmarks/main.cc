// Prints what the engines do against their goals. See docs/performance.md.
//   moesim_bench [--quick] [--json OUT] [FILTER]
// --quick leaves out what takes minutes (SimGrid at 144 GPUs, the largest clusters); FILTER is part of a name.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <thread>

#include <sys/resource.h>

#include "base/statistics.h"
#include "base/units.h"
#include "benchmarks/goals.h"
#include "benchmarks/networks.h"
#include "benchmarks/traces.h"
#include "benchmarks/traffic.h"
#include "sim/engine/engine.h"
#include "workloads/placement.h"
#include "workloads/routing_source.h"
#include "workloads/traffic.h"

namespace moesim::benchmarks {
namespace {

struct Options {
  bool quick = false;
  std::string json;
  std::string filter;
};

// Of this process and its children, which SimGrid runs in; what else the machine does is not in it.
double cpu_now() {
  double total = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    total += static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
             1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  }
  return total;
}

double cpu_seconds(const std::function<void()>& work) {
  const double start = cpu_now();
  work();
  return cpu_now() - start;
}

double wall_seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

using Clock = double (*)(const std::function<void()>&);

// The fastest of some runs, at least three and about a second.
double best_seconds(const std::function<void()>& work, Clock clock = cpu_seconds) {
  double best = clock(work), total = best;
  for (int i = 1; i < 3 || (total < 1 && i < 1000); ++i) {
    const double s = clock(work);
    best = std::min(best, s);
    total += s;
  }
  return best;
}

double peak_gigabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e9;
}

std::string show(double s) { return base::to_string(base::Duration(s), 3); }

struct Errors {
  double mean = 0, largest = 0, makespan = 0;  // relative
};
Errors compare(const results::Timeline& exact, const results::Timeline& other) {
  Errors errors;
  double count = 0;
  for (std::size_t x = 0; x < exact.drained.size(); ++x) {
    for (std::size_t f = 0; f < exact.drained[x].size(); ++f, ++count) {
      const double e = std::abs(other.drained[x][f] / exact.drained[x][f] - 1);
      errors.mean += e;
      errors.largest = std::max(errors.largest, e);
    }
  }
  errors.mean /= count;
  errors.makespan = std::abs(other.makespan / exact.makespan - 1);
  return errors;
}

void exact_against_simgrid(Report& report, const std::string& name, BenchNetwork network, Traffic traffic,
                           double goal) {
  network.add(traffic_matrix(traffic, network.gpus, 1));
  const auto fluid = engine::make_engine("fluid"), simgrid = engine::make_engine("simgrid");
  results::Timeline ours, theirs;
  const double fast = best_seconds([&] { ours = fluid->run(network.graph); });
  const auto run_simgrid = [&] { theirs = simgrid->run(network.graph); };
  const double slow = network.gpus <= 8 ? best_seconds(run_simgrid) : cpu_seconds(run_simgrid);
  report.add({name, slow / fast, "x", Goal::Kind::AtLeast, goal, "SimGrid " + show(slow) + ", fluid " + show(fast)});
  report.add(
      {name + ": largest difference of a flow", compare(theirs, ours).largest, "", Goal::Kind::AtMost, 1e-9, ""});
}

void batched_errors(Report& report) {
  BenchNetwork network = one_switch(72);
  network.add(traffic_matrix(Traffic::Skew, network.gpus, 1));
  const auto exact = engine::make_engine("fluid")->run(network.graph);
  const Errors e = compare(exact, engine::make_engine("fluid", {.tolerance = 1e-3})->run(network.graph));
  report.add({"batched 1e-3, one switch, 72, skew: mean flow error", e.mean, "", Goal::Kind::AtMost, 1e-4, ""});
  report.add({"batched 1e-3, one switch, 72, skew: largest flow error", e.largest, "", Goal::Kind::AtMost, 4e-3, ""});
  report.add({"batched 1e-3, one switch, 72, skew: makespan error", e.makespan, "", Goal::Kind::AtMost, 1e-3, ""});
}

void batched_growth(Report& report) {
  std::vector<double> sizes, times;
  std::string note;
  for (const std::int32_t gpus : {72, 144, 288, 576}) {
    BenchNetwork network = one_switch(gpus);
    network.add(traffic_matrix(Traffic::Skew, gpus, 1));
    const auto engine = engine::make_engine("fluid", {.tolerance = 1e-3});
    sizes.push_back(gpus);
    times.push_back(best_seconds([&] { engine->run(network.graph); }));
    note += (note.empty() ? "" : ", ") + show(times.back());
  }
  report.add({"batched 1e-3, one switch, skew: exponent from 72 to 576", base::log_log_slope(sizes, times), "",
              Goal::Kind::AtMost, 2.3, note});
}

// 58 layers, each dispatch then combine, each routed differently; layers are graphs of their own.
std::vector<engine::TaskGraph> decode_step(const std::function<BenchNetwork()>& make, std::int32_t tokens) {
  std::vector<engine::TaskGraph> layers;
  BenchNetwork network = make();
  const Matrix all(static_cast<std::size_t>(network.gpus),
                   std::vector<double>(static_cast<std::size_t>(network.gpus), 1));
  for (std::int32_t s = 0; s < network.gpus; ++s)
    for (std::int32_t r = 0; r < network.gpus; ++r)
      if (s != r) network.path(s, r);
  for (std::uint64_t layer = 0; layer < 58; ++layer) {
    BenchNetwork of_layer = network;
    const Matrix dispatch = moe_matrix(network.gpus, tokens, 7168, layer + 1);
    const auto sent = of_layer.add(dispatch);
    std::vector<engine::EventId> after;
    for (std::int32_t r = 0; r < network.gpus; ++r) after.push_back(sent.all_done());
    Matrix combine = transposed(dispatch);
    for (auto& row : combine)
      for (double& bytes : row) bytes *= 2;
    of_layer.add(combine, after);
    layers.push_back(std::move(of_layer.graph));
  }
  return layers;
}

void decode(Report& report, const std::string& name, const std::function<BenchNetwork()>& make, double goal) {
  const auto layers = decode_step(make, 128);
  const auto fluid = engine::make_engine("fluid");
  const auto run = [&](std::size_t threads) {
    std::vector<std::thread> pool;
    for (std::size_t t = 0; t < threads; ++t) {
      pool.emplace_back([&, t] {
        for (std::size_t l = t; l < layers.size(); l += threads) fluid->run(layers[l]);
      });
    }
    for (std::thread& thread : pool) thread.join();
  };
  report.add({name + ", 1 thread", best_seconds([&] { run(1); }), "s", Goal::Kind::AtMost, goal, ""});
  report.add(
      {name + ", 2 threads", best_seconds([&] { run(2); }, wall_seconds), "s", Goal::Kind::AtMost, goal / 2, ""});
}

// What every decode step needs besides the engine's solving: tokens to matrices, and the bound beside the result.
void bound_and_matrices(Report& report) {
  constexpr std::int32_t kGpus = 72, kLayers = 58, kTokens = 128;
  const base::JsonDocument model_text = base::parse_json(R"({"preset": "deepseek-v3"})", "benchmark");
  const base::JsonDocument routing_text =
      base::parse_json(R"({"generate": {"preset": "deepseek-v3-decode", "seed": 1}})", "benchmark");
  std::vector<std::string> warnings;
  const workloads::Model model = workloads::read_model(base::JsonNode(model_text));
  const workloads::RoutingSource routing(base::JsonNode(routing_text), model, warnings);
  const workloads::Placement placement = workloads::default_placement(model.experts, kGpus);
  std::vector<workloads::Trace> traces;
  for (std::int32_t layer = 0; layer < kLayers; ++layer) traces.push_back(routing.layer(layer, kTokens, kGpus));
  const double matrices = best_seconds([&] {
    for (const workloads::Trace& trace : traces) workloads::layer_traffic(trace.layer(0), placement, kTokens);
  });
  const auto layers = decode_step([] { return one_switch(kGpus); }, kTokens);
  const auto engine = engine::make_engine("bound");
  const double bound = best_seconds([&] {
    for (const engine::TaskGraph& graph : layers) engine->run(graph);
  });
  report.add({"decode step, 58 layers, 72: bound and matrices", 1e3 * (bound + matrices), "ms", Goal::Kind::AtMost, 50,
              "bound " + show(bound) + ", matrices " + show(matrices) + ", one thread"});
}

// A graph for one layer at a time: all of them at once would not fit.
void rail_domain_1024(Report& report) {
  const std::string name = "1,024 GPUs, one rail domain, 64 tokens, 58 layers, batched 1e-2";
  BenchNetwork network = rail_domains(128, 8, 8);
  const auto fluid = engine::make_engine("fluid", {.tolerance = 1e-2});
  double spent = 0;
  for (std::uint64_t layer = 0; layer < 58; ++layer) {
    BenchNetwork of_layer = network;
    const Matrix dispatch = moe_matrix(network.gpus, 64, 7168, layer + 1);
    const auto sent = of_layer.add(dispatch);
    of_layer.add(transposed(dispatch),
                 std::vector<engine::EventId>(static_cast<std::size_t>(network.gpus), sent.all_done()));
    spent += cpu_seconds([&] { fluid->run(of_layer.graph); });
  }
  report.add({name, spent, "s", Goal::Kind::AtMost, 60, "the engine's time; building the graphs is not in it"});
  report.add({name + ": memory", peak_gigabytes(), "GB", Goal::Kind::AtMost, 2, "peak of the process so far"});
}

void cluster_9936(Report& report) {
  const std::string name = "9,936 GPUs, EP 288 over 4 domains, and a rail all-reduce, one layer, batched 1e-2";
  constexpr std::int32_t kDomains = 138, kDomain = 72, kGroup = 288;
  BenchNetwork network = rail_domains(kDomains, kDomain, 4);
  for (std::int32_t g = 0; g < kDomains * kDomain / kGroup; ++g) {
    const Matrix dispatch = moe_matrix(kGroup, 64, 7168, static_cast<std::uint64_t>(g) + 1);
    const auto sent = network.add(dispatch, {}, g * kGroup);
    network.add(transposed(dispatch), std::vector<engine::EventId>(kGroup, sent.all_done()), g * kGroup);
  }
  engine::Exchange ring{"all-reduce", network.gpus, {}, {}, {}};
  for (std::int32_t r = 0; r < network.gpus; ++r) {
    const std::int32_t next = (r + kDomain) % network.gpus;
    ring.flows.push_back({network.path(r, next), r, next, 4e6});
  }
  network.graph.add_exchange(std::move(ring));
  const auto fluid = engine::make_engine("fluid", {.tolerance = 1e-2});
  const double spent = cpu_seconds([&] { fluid->run(network.graph); });
  report.add({name, spent, "s", Goal::Kind::AtMost, 60, "one core; the engine's time"});
  report.add({name + ": memory", peak_gigabytes(), "GB", Goal::Kind::AtMost, 8, "peak of the process so far"});
}

struct Case {
  std::string name;
  bool slow;
  std::function<void(Report&)> run;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto against = [&](const std::string& network, bool slow, const std::function<BenchNetwork()>& make,
                           double goal) {
    const std::string name = "exact, " + network + ", skew";
    all.push_back({name, slow, [=](Report& r) { exact_against_simgrid(r, name, make(), Traffic::Skew, goal); }});
  };
  against(
      "PCIe tree, 8", false, [] { return pcie_tree(); }, 15);
  against(
      "one switch, 72", false, [] { return one_switch(72); }, 150);
  against(
      "HGX nodes over rails, 72", false, [] { return hgx_rails(9); }, 300);
  against(
      "leaf and spine 2:1, 72", false, [] { return leaf_spine(72); }, 150);
  all.push_back({"batched errors", false, batched_errors});
  all.push_back({"batched growth", false, batched_growth});
  all.push_back({"decode one switch", false, [](Report& r) {
                   decode(
                       r, "decode step, 58 layers, one switch, 72", [] { return one_switch(72); }, 0.4);
                 }});
  all.push_back({"decode rails", false, [](Report& r) {
                   decode(
                       r, "decode step, 58 layers, rails, 72", [] { return hgx_rails(9); }, 0.5);
                 }});
  all.push_back({"bound and matrices", false, bound_and_matrices});
  all.push_back({"trace statistics", false, trace_statistics});
  against(
      "one switch, 144", true, [] { return one_switch(144); }, 400);
  against(
      "HGX nodes over rails, 144", true, [] { return hgx_rails(18); }, 1000);
  against(
      "leaf and spine 2:1, 144", true, [] { return leaf_spine(144); }, 400);
  all.push_back({"1,024 GPUs", true, rail_domain_1024});
  all.push_back({"9,936 GPUs", true, cluster_9936});
  return all;
}

int run(const Options& options) {
  Report report;
  for (const Case& one : cases()) {
    if ((options.quick && one.slow) || one.name.find(options.filter) == std::string::npos) continue;
    one.run(report);
    if (!options.json.empty()) report.write_json(options.json);  // what there is, should a later one be cut off
  }
  std::printf("%d goals missed\n", report.missed());
  return 0;
}

}  // namespace
}  // namespace moesim::benchmarks

int main(int argc, char** argv) {
  moesim::benchmarks::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--quick") {
      options.quick = true;
    } else if (argument == "--json" && i + 1 < argc) {
      options.json = argv[++i];
    } else if (argument.rfind("--", 0) == 0) {
      std::fprintf(stderr, "usage: moesim_bench [--quick] [--json OUT] [FILTER]\n");
      return 2;
    } else {
      options.filter = argument;
    }
  }
  try {
    return moesim::benchmarks::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "moesim_bench: %s\n", error.what());
    return 1;
  }
}
