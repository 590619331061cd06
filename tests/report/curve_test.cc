#include "report/curve.h"

#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "report/curve_words.h"

namespace moesim::report {
namespace {

using results::ClusterCurve;
using results::CurveComparison;

// A cluster with these throughputs at 10, 20, 30 tokens/s/user; 0: out of reach.
ClusterCurve cluster(const std::string& name, std::int32_t gpus, const std::vector<double>& per_gpu) {
  ClusterCurve curve;
  curve.name = name;
  curve.gpus = gpus;
  curve.options = 1;
  double users = 0;
  for (const double rate : per_gpu) {
    results::OperatingPoint& point = curve.points.emplace_back();
    point.users = users += 10;
    point.per_gpu = rate;
    if (rate == 0) point.unreachable = "too slow: 25 tokens/s/user with a batch of 1";
    point.near.gpus = gpus;
    point.near.longest = "experts";
    curve.runs.push_back(point.near);
  }
  return curve;
}

CurveComparison comparison(std::vector<ClusterCurve> clusters, bool series) {
  CurveComparison curve;
  curve.users = {10, 20, 30};
  curve.series = series;
  for (const ClusterCurve& one : clusters) {
    auto& ratios = curve.speedup.emplace_back();
    for (std::size_t p = 0; p < 3; ++p) {
      const double base = clusters.front().points[p].per_gpu, value = base > 0 ? one.points[p].per_gpu / base : 0;
      ratios.push_back({value, value, value, 1});
    }
  }
  curve.clusters = std::move(clusters);
  return curve;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("of one scenario with a value varied the words say where the next one stops helping") {
  const std::string said =
      words(comparison({cluster("nodes 2", 8, {400, 100, 0}), cluster("nodes 4", 16, {300, 200, 50}),
                        cluster("nodes 8", 32, {200, 200, 60}), cluster("nodes 16", 64, {150, 190, 50})},
                       true));
  CAPTURE(said);
  CHECK(has(said, "Per GPU nodes 4 (16 GPUs) serves between 0.750x"));
  CHECK(has(said, "2.00x (80 % interval 2.00x to 2.00x), at 20 tokens/s/user, as much as nodes 2 (8 GPUs). "));
  // Against the one before it, not the baseline.
  CHECK(has(said, "Per GPU nodes 16 (64 GPUs) serves between 0.750x, at 10 tokens/s/user, and 0.950x"));
  // Of those that do alike the first.
  CHECK(has(said,
            "Most per GPU: nodes 2 (8 GPUs) at 10 tokens/s/user; nodes 4 (16 GPUs) at 20 tokens/s/user; nodes 8 "
            "(32 GPUs) at 30 tokens/s/user. Where another than the last is named, the next one serves no more."));
  CHECK(has(said, "nodes 2 (8 GPUs) does not reach 30 tokens/s/user (too slow: 25 tokens/s/user with a batch of 1)"));
  CHECK(has(said, "nodes 4 (16 GPUs), nodes 8 (32 GPUs) and nodes 16 (64 GPUs) reach all points."));
}

TEST_CASE("several clusters are compared with the baseline, and two without a word on which is best") {
  const std::string three = words(comparison(
      {cluster("a", 8, {100, 100, 100}), cluster("b", 8, {100, 200, 200}), cluster("c", 8, {300, 50, 50})}, false));
  CHECK(has(three, "Per GPU c serves between 0.500x (80 % interval 0.500x to 0.500x), at 20 tokens/s/user, and 3.00x"));
  CHECK(has(three, "as much as a. Most per GPU: c at 10 tokens/s/user; b at 20 to 30 tokens/s/user. At 20"));
  CHECK(has(three, "All points are reached."));
  const std::string two =
      words(comparison({cluster("a", 8, {100, 100, 100}), cluster("b", 8, {200, 200, 200})}, false));
  CHECK(has(two, "Per GPU b serves 2.00x (80 % interval 2.00x to 2.00x) as much as a at every common point."));
  CHECK_FALSE(has(two, "Most per GPU"));
}

TEST_CASE("a table says which option is best where a cluster has several") {
  CurveComparison curve = comparison({cluster("a", 8, {100, 90, 80}), cluster("b", 8, {200, 180, 0})}, false);
  ClusterCurve& b = curve.clusters[1];
  b.options = 2;
  b.points[0].option = b.runs[0].option = "wide";
  b.points[1].option = b.runs[1].option = b.runs[2].option = "narrow";
  b.runs[0].gpus = 72;
  const std::string said = text(curve);
  CAPTURE(said);
  CHECK(has(said, "B b: 8 or 72 GPUs; option 1 wide, 2 narrow\n"));
  CHECK(has(said, "  20                      90.0         180         2    2.00x  2.00x to 2.00x\n"));
  CHECK(has(said, "  30                      80.0    too slow                  -               -\n"));
}

TEST_CASE("a waterfall's words add up the factors of a group") {
  results::Waterfall waterfall;
  auto& point = waterfall.points.emplace_back();
  point.users = 20;
  point.speedup = {8, 7, 9, 1};
  point.baseline.per_gpu = 100;
  point.target.per_gpu = 800;
  for (const char* name : {"NVLink", "chip", "NIC"}) {
    auto& part = point.parts.emplace_back();
    part.name = name;
    part.factor = 2;
    part.log_part = std::log(2);
    if (std::string(name) != "chip") part.group = "the interconnect";
  }
  CHECK(has(words(waterfall), "; together the interconnect (NVLink, NIC) is 4.00x (66.7 % of it). "));
}

}  // namespace moesim::report
