// The document that kernels/ writes (moesim.measurements/1; kernels/harness/report.h): every point with its samples.
//
// gemm_bf16, permute, unpermute and nccl_all_to_all become tables of medians; copies, launches and latencies are read
// as numbers. A copy's rate is fitted: t = start + bytes / rate over its sizes. What no model here stands for (our
// gate, which chooses serially; fp8 products without the quantisation that the modelled ones include; products per
// expert in a row; the bytes of attention alone) is kept out, and said so.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include <nlohmann/json.hpp>

#include "base/statistics.h"
#include "calibration/fit.h"
#include "calibration/logs/lines.h"
#include "calibration/logs/log.h"

namespace moesim::calibration {
namespace {

constexpr double kNoisy = 0.05;  // half the distance of the quartiles over the median
constexpr double kLeastError = 0.005;

struct Point {
  std::string benchmark, implementation;
  std::map<std::string, double, std::less<>> parameters;
  double bytes = 0, median_us = 0, noise = 0;
  bool throttled = false;
};

double parameter(const Point& point, const base::JsonNode& node, const char* key) {
  const auto found = point.parameters.find(key);
  if (found == point.parameters.end()) node.fail("\"" + point.benchmark + "\" has no parameter \"" + key + "\"");
  return found->second;
}

Point read_point(const base::JsonNode& node) {
  const base::JsonObject object(node, {"benchmark", "implementation", "parameters", "unit", "summary", "clock_mhz",
                                       "throttled", "samples", "bytes", "flops"});
  Point point;
  point.benchmark = object.required("benchmark").string();
  point.implementation = object.required("implementation").string();
  object.required("unit").one_of({"us"});
  const base::JsonNode parameters = object.required("parameters");
  if (parameters.is_object())
    for (const auto& [key, value] : parameters.json().items())
      point.parameters[key] = parameters.member(key).number(0, 1e15);
  point.bytes = object.get("bytes", 0.0, [](const base::JsonNode& n) { return n.number(0, 1e18); });
  point.throttled = object.get("throttled", false, [](const base::JsonNode& n) { return n.boolean(); });
  const base::JsonNode samples = object.required("samples");
  std::vector<double> us;
  for (std::size_t i = 0; i < samples.size(); ++i) us.push_back(samples.at(i).number(1e-6, 1e12));
  if (us.empty()) samples.fail("no samples", "times in microseconds");
  point.median_us = base::quantile(us, 0.5);
  point.noise = (base::quantile(us, 0.75) - base::quantile(us, 0.25)) / 2 / point.median_us;
  return point;
}

class Document {
 public:
  Document(const std::string& file, const base::JsonNode& measurements) : file_(file) {
    for (std::size_t i = 0; i < measurements.size(); ++i) {
      nodes_.push_back(measurements.at(i));
      points_.push_back(read_point(nodes_.back()));
    }
  }

  void add_tables(ImportedLog& log) const {
    std::string gemm, moe, nccl;
    for (std::size_t i = 0; i < points_.size(); ++i) {
      const Point& p = points_[i];
      const auto cells = [&](std::initializer_list<const char*> keys) {
        std::string out;
        for (const char* key : keys) out += base::format_number(parameter(p, nodes_[i], key), 17) + ",";
        return out + base::format_number(p.median_us, 17) + "\n";
      };
      if (p.benchmark == "gemm_bf16") gemm += "cold,bfloat16," + cells({"m", "n", "k"});
      if (p.benchmark == "permute" || p.benchmark == "unpermute")
        moe += (p.benchmark == "permute" ? "permute," : "unpermute_reduce,") +
               cells({"tokens", "hidden", "experts", "top_k"});
      if (p.benchmark == "nccl_all_to_all") nccl += "all_to_all,int8," + cells({"gpus", "bytes"});
    }
    const auto add = [&](const char* header, const std::string& rows) {
      if (!rows.empty()) log.tables.push_back(Table::parse(header + rows, file_));
    };
    add("l2,dtype,m,n,k,latency_us\n", gemm);
    add("moe_kernel,tokens,hidden,experts,topk,latency_us\n", moe);
    add("op,dtype,num_gpus,bytes,latency_us\n", nccl);
  }

  void add_readings(ImportedLog& log) const {
    for (std::size_t i = 0; i < points_.size(); ++i) {
      const Point& p = points_[i];
      if (p.benchmark == "graph_launch") {
        const double kernels = parameter(p, nodes_[i], "kernels");
        if (kernels < 1) nodes_[i].fail("a graph of no kernels");
        log.readings.push_back({Quantity::Launch, p.median_us * 1e-6 / kernels, std::max(kLeastError, p.noise * 2),
                                "graph_launch, " + p.implementation, 0});
      }
      if (p.benchmark == "peer_latency") {
        const double trips = parameter(p, nodes_[i], "round_trips");
        if (trips < 1) nodes_[i].fail("no round trip");
        log.readings.push_back({Quantity::PeerLatency, p.median_us * 1e-6 / (2 * trips),
                                std::max(kLeastError, p.noise * 2), "peer_latency, half a round trip", 0});
      }
    }
    add_rate(log, Quantity::Hbm, {"hbm_copy"});
    add_rate(log, Quantity::PeerRate, {"peer_copy"});
    add_rate(log, Quantity::HostRate, {"host_to_device", "device_to_host"});
  }

  void add_remarks(ImportedLog& log) const {
    std::size_t throttled = 0, noisy = 0;
    std::map<std::string, std::size_t> unused;
    for (const Point& p : points_) {
      throttled += p.throttled ? 1 : 0;
      noisy += p.noise > kNoisy ? 1 : 0;
      for (const auto& [name, reason] :
           {std::pair("gate_top_k", "ours chooses serially, those of frameworks by a warp"),
            std::pair("gemm_fp8", "the modelled kernel quantises its activations too"),
            std::pair("gemm_nvfp4", "the modelled kernel quantises its activations too"),
            std::pair("grouped_gemm_", "one product per expert in a row is not the grouped kernel that is modelled"),
            std::pair("decode_attention_bytes", "the bytes of attention without its arithmetic"),
            std::pair("peer_all_to_all", "as a check of GPU-GPU bandwidth with all pairs at once")})
        if (p.benchmark.starts_with(name)) ++unused[std::string(name) + ": not fitted, " + reason];
    }
    const std::string of = " of " + std::to_string(points_.size()) + " points";
    if (throttled > 0)
      log.warnings.push_back(std::to_string(throttled) + of + " throttled: the clock fell by more than 3 %");
    if (noisy > 0)
      log.warnings.push_back(std::to_string(noisy) + of + " are noisy: their quartiles are more than " +
                             base::format_number(200 * kNoisy, 2) + " % apart");
    for (const auto& [text, count] : unused) log.notes.push_back(text);
  }

  std::size_t size() const { return points_.size(); }

 private:
  // The fastest of the copies of these benchmarks: of each implementation, and number of SMs, that has several sizes.
  void add_rate(ImportedLog& log, Quantity quantity, std::initializer_list<std::string_view> benchmarks) const {
    std::map<std::string, std::vector<const Point*>> groups;
    for (const Point& p : points_) {
      if (std::find(benchmarks.begin(), benchmarks.end(), p.benchmark) == benchmarks.end() || p.bytes <= 0) continue;
      std::string key = p.benchmark + ", " + p.implementation;
      for (const char* name : {"to", "sms"})
        if (const auto found = p.parameters.find(name); found != p.parameters.end())
          key += std::string(", ") + name + " " + base::format_number(found->second, 9);
      groups[key].push_back(&p);
    }
    std::optional<Reading> best;
    for (const auto& [key, points] : groups) {
      if (points.size() < 3) continue;
      const Reading reading = fit_rate(quantity, key, points);
      if (!best || reading.value > best->value) best = reading;
    }
    if (best) log.readings.push_back(*best);
  }

  static Reading fit_rate(Quantity quantity, const std::string& what, const std::vector<const Point*>& points) {
    std::vector<Measured> measured;
    double fastest = 0, shortest = points.front()->median_us;
    for (const Point* p : points) {
      measured.push_back({p->median_us, 1});
      fastest = std::max(fastest, p->bytes / p->median_us);
      shortest = std::min(shortest, p->median_us);
    }
    const std::vector<Unknown> unknowns{{"start", shortest / 2, 1e-3, 1e6, 0, {}, false},
                                        {"rate", fastest, fastest / 100, fastest * 100, 0, {}, false}};
    const Predict predict = [&](std::span<const double> v, std::span<const std::size_t> rows, std::span<double> out) {
      for (std::size_t i = 0; i < rows.size(); ++i) out[i] = v[0] + points[rows[i]]->bytes / v[1];
    };
    FitOptions options;
    options.refuse = false;
    const FitResult result = fit(unknowns, measured, predict, options);
    std::vector<double> residuals;
    for (const double e : result.log_errors) residuals.push_back(std::abs(std::expm1(e)));
    const FittedValue& rate = result.values[1];
    return {quantity, rate.value * 1e6, std::max(kLeastError, std::sqrt(rate.upper / rate.lower) - 1),
            what + ", t = start + bytes / rate over " + std::to_string(points.size()) + " sizes",
            base::quantile(residuals, 0.5)};
  }

  std::string file_;
  std::vector<base::JsonNode> nodes_;
  std::vector<Point> points_;
};

}  // namespace

std::optional<ImportedLog> import_measurements(std::string_view text, const std::string& name) {
  if (text.find("moesim.measurements/") == std::string_view::npos) return std::nullopt;
  const auto document = base::parse_json(text, name);
  return with_lines(text, [&]() -> std::optional<ImportedLog> {
    const base::JsonObject root(base::JsonNode(document),
                                {"schema", "synthetic", "machine", "measurements", "skipped"});
    root.required("schema").one_of({"moesim.measurements/1"});
    ImportedLog log;
    log.format = "moesim-kernels";
    const base::JsonNode machine = root.required("machine");
    for (const char* key : {"gpu", "date"})
      if (!machine.is_object() || !machine.json().contains(key)) machine.fail(std::string("has no \"") + key + "\"");
    log.gpu = machine.member("gpu").string();
    const Document points(name, root.required("measurements"));
    if (points.size() == 0) root.required("measurements").fail("no measurement", "at least one");
    points.add_tables(log);
    points.add_readings(log);
    points.add_remarks(log);
    if (machine.json().contains("notes"))
      for (std::size_t i = 0; i < machine.member("notes").size(); ++i)
        log.warnings.push_back(machine.member("notes").at(i).string());
    if (const auto skipped = root.optional("skipped")) {
      for (std::size_t i = 0; i < skipped->size(); ++i)
        log.notes.push_back(skipped->at(i).member("benchmark").string() + ": skipped, " +
                            skipped->at(i).member("reason").string());
    }
    return log;
  });
}

}  // namespace moesim::calibration
