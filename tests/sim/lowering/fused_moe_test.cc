// The fused kernel on a star of GPUs: its pipeline in closed form.
#include "sim/lowering/fused_moe.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/engine/engine.h"
#include "tests/approx.h"
#include "topology/cluster.h"

namespace moesim::lowering {
namespace {

constexpr int kChunks = 4;

struct Setting {
  Setting()
      : document(base::parse_json(
            R"({"star": {"gpus": 4, "gpu": "gb300", "bandwidth": "900 GB/s", "latency": "0 us"}})", "star")),
        cluster(topology::read_cluster(base::JsonNode(document))),
        router(cluster),
        profile(profile::profile_preset("gb300")),
        parameters(profile.kernel("fused_moe_fp8_fp4")) {}

  base::JsonDocument document;
  topology::Cluster cluster;
  topology::Router router;
  profile::Profile profile;
  profile::KernelParameters parameters;
};

// `tokens` of each rank go to every rank; each of the 8 experts of a rank has `rows` of them.
FusedMoe layer_of(double tokens, double rows) {
  FusedMoe layer;
  layer.name = "fused";
  layer.ranks = 4;
  layer.local_experts = 8;
  layer.copies.assign(16, tokens);
  layer.dispatch_bytes = 7168;
  layer.combine_bytes = 2 * 7168;
  layer.matrices = {7168, 2048, 0.53, workloads::Dtype::Fp8};
  layer.loads.assign(4, {{rows, 8}});
  return layer;
}

double time_of(const Setting& s, const FusedMoe& layer, std::string_view engine = "fluid") {
  engine::TaskGraph graph;
  Network network(graph, s.router);
  const engine::EventId end = fused_moe(network, layer, s.profile, s.parameters).end;
  return engine::make_engine(engine)->run(graph).event[end.index()].value();
}

double start_of(const Setting& s) { return 1e-6 * (s.parameters.at("t0") + 8 * s.parameters.at("tE")); }

double experts_of(const Setting& s, const FusedMoe& layer) {
  const ExpertRates rates{s.parameters.at("bw"), s.parameters.at("F"), 0, s.parameters.at("p")};
  return experts_time(layer.matrices, layer.loads[0], kFusedTile, rates, s.profile).total;
}

}  // namespace

TEST_CASE("a fused layer without tokens costs its start") {
  const Setting s;
  FusedMoe layer = layer_of(0, 0);
  CHECK(time_of(s, layer) == tests::Approx(start_of(s)).epsilon(1e-12));
}

TEST_CASE("where experts take longest, only the first chunk's dispatch and the last chunk's combine show beside them") {
  const Setting s;
  const FusedMoe layer = layer_of(8, 64);
  const double link = s.parameters.at("share") * 900e9;
  const double dispatch = 3 * 8 * 7168 / link, experts = experts_of(s, layer);
  REQUIRE(experts > 4 * dispatch);
  CHECK(time_of(s, layer) == tests::Approx(start_of(s) + experts + (dispatch + 2 * dispatch) / kChunks).epsilon(1e-9));
}

TEST_CASE("where the links bind, a GPU's tokens and the results that it returns share its link") {
  const Setting s;
  const FusedMoe layer = layer_of(100000, 1);
  const double link = s.parameters.at("share") * 900e9;
  const double dispatch = 3 * 100000.0 * 7168 / link, experts = experts_of(s, layer);
  REQUIRE(dispatch > 4 * experts);
  const double time = time_of(s, layer);
  CHECK(time >= start_of(s) + 3 * dispatch * (1 - 1e-9));
  CHECK(time <= start_of(s) + 3 * dispatch + experts);
}

TEST_CASE("a rank with more tokens for its experts makes all wait") {
  const Setting s;
  FusedMoe even = layer_of(64, 256), skewed = even;
  skewed.loads[2] = {{1024, 8}};
  CHECK(time_of(s, skewed) > 2 * time_of(s, even));
}

TEST_CASE("fluid and SimGrid agree on the fused kernel") {
  const Setting s;
  FusedMoe layer = layer_of(64, 256);
  layer.loads[2] = {{1024, 8}};
  layer.copies[6] = 200;
  CHECK(time_of(s, layer, "simgrid") == tests::Approx(time_of(s, layer)).epsilon(1e-9));
}

}  // namespace moesim::lowering
