#include "workloads/parallel_plan.h"

#include <algorithm>
#include <numeric>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"

namespace moesim::workloads {
namespace {

using tests::Contains;
using tests::input_error;
using tests::JsonText;

ParallelPlan plan_of(const std::string& json, const Model& model, std::int32_t gpus) {
  const JsonText text(json);
  return read_plan(&text.node, model, gpus);
}

// `per_node` ranks to a node, all of it one NVLink domain.
base::RankMap nodes_of(std::int32_t ranks, std::int32_t per_node) {
  base::RankMap map;
  for (std::int32_t rank = 0; rank < ranks; ++rank) map.node.push_back(rank / per_node);
  map.domain = map.node;
  return map;
}

const std::vector<MappingOrder> kOrders{MappingOrder::TpInnermost, MappingOrder::EpInnermost, MappingOrder::DpInnermost,
                                        MappingOrder::PpInnermost};

TEST_CASE("without a section attention is replicated and experts are spread over all GPUs") {
  const Model model = tests::model_preset("deepseek-v3");
  const ParallelPlan plan = read_plan(nullptr, model, 72);
  CHECK(plan.tp == 1);
  CHECK(plan.attention_dp == 72);
  CHECK(plan.ep == 72);
  CHECK(plan.redundant == 288 - 256);
  CHECK(plan.slots_per_rank(model) == 4);
  CHECK(plan_of("{}", model, 72) == plan);
  CHECK(plan_notes(plan, model).empty());
}

TEST_CASE("absent degrees use up the GPUs, and what is written is read back") {
  const Model model = tests::model_preset("deepseek-v3");
  const ParallelPlan plan = plan_of(R"({"tp": 4, "pp": 2, "moe_tp": 2, "mapping": "ep_innermost"})", model, 64);
  CHECK(plan.attention_dp == 64 / (4 * 2));
  CHECK(plan.ep == 64 / (2 * 2));
  CHECK(plan_of(to_json(plan).dump(), model, 64) == plan);
  CHECK(to_string(plan) == "TP4 x DP8, EP16 x expert-TP2, PP2 (ep_innermost)");
  CHECK(to_string(read_plan(nullptr, model, 1)) == "one GPU");
}

TEST_CASE("impossible plans are refused with the reason, at the field to blame") {
  const Model model = tests::model_preset("deepseek-v3");  // 128 heads, 256 experts of 2048 columns, 61 layers
  struct Case {
    const char* json;
    std::int32_t gpus;
    const char* said;
  };
  for (const Case& c : std::vector<Case>{
           {R"({"tp": 3})", 8, "test.json: /tp: tp 3 x pp 1 does not divide the 8 GPUs"},
           {R"({"tp": 4, "attention_dp": 4})", 8, "/attention_dp: tp 4 x attention_dp 4 x pp 1 = 16, not the 8 GPUs"},
           {R"({"ep": 4})", 8, "/ep: ep 4 x moe_tp 1 x pp 1 = 4, not the 8 GPUs"},
           {R"({"moe_tp": 3})", 8, "/moe_tp: moe_tp 3 x pp 1 does not divide"},
           {R"({"moe_tp": 12, "ep": 1})", 12, "/moe_tp: 12 ranks cannot share an expert's 2048 columns"},
           {R"({"tp": 12, "attention_dp": 1})", 12, "/tp: 12 ranks cannot share the 128 attention heads of its mla"},
           {R"({"tp": 256})", 256, "/tp: 256 ranks cannot share the 128 attention heads"},
           {R"({"pp": 64})", 64, "/pp: 64 stages for the 61 layers of DeepSeek-V3"},
           {R"({"redundant": 0})", 72, "256 experts and 0 redundant slots are 256, which EP72 does not divide"},
           {R"({"redundant": 8})", 72, "/redundant: 256 experts and 8 redundant slots are 264, which EP72"},
           {R"({"redundant": 24, "ep": 72})", 72, "32 redundant slots"},
           {R"({"redundant": 512, "ep": 2})", 2, "/redundant: 384 slots per rank for 256 experts"},
           {R"({"mapping": "node_innermost"})", 8, "/mapping"},
           {R"({"dp": 8})", 8, "unknown"},
           {R"({"tp": 0})", 8, "/tp"}}) {
    CAPTURE(c.json);
    CHECK(input_error([&] { plan_of(c.json, model, c.gpus); }) == Contains(c.said));
  }
  // 24 key-value heads can be neither cut nor copied evenly for 16 ranks.
  const Model odd = tests::model_of(
      R"({"preset": "qwen3-235b-a22b", "attention": [{"kind": "gqa", "layers": 94, "heads": 96, "kv_heads": 24, "head_dim": 128}]})");
  CHECK(input_error([&] { plan_of(R"({"tp": 16})", odd, 16); }) ==
        Contains("neither share nor evenly replicate the 24"));
}

TEST_CASE("a dense model has no expert parallelism to ask for") {
  Model dense = tests::model_preset("qwen3-235b-a22b");
  dense.experts = dense.top_k = 0;
  CHECK(plan_of(R"({"tp": 4})", dense, 4).ep == 1);
  CHECK(input_error([&] { plan_of(R"({"tp": 4, "ep": 4})", dense, 4); }) ==
        Contains("/ep: Qwen3-235B-A22B has no experts"));
}

TEST_CASE("caches that tensor parallelism replicates are named") {
  const Model mla = tests::model_preset("deepseek-v3"), gqa = tests::model_preset("qwen3-235b-a22b");
  const auto notes = [](const char* json, const Model& model, std::int32_t gpus) {
    std::string all;
    for (const std::string& note : plan_notes(plan_of(json, model, gpus), model)) all += note + "\n";
    return all;
  };
  CHECK(notes(R"({"tp": 8})", mla, 8) == Contains("the latent cache of MLA is kept by each of the 8"));
  CHECK(notes(R"({"tp": 4})", gqa, 4).empty());  // 4 key-value heads
  CHECK(notes(R"({"tp": 8})", gqa, 8) == Contains("each of the 4 key-value heads is kept by 2 of the 8"));
  CHECK(notes(R"({"pp": 4})", mla, 4) == Contains("the first 1 have 16 layers, the others 15"));
}

TEST_CASE("every mapping deals each pair of coordinates to exactly one rank, and groups partition the ranks") {
  ParallelPlan plan = plan_of(R"({"tp": 2, "attention_dp": 6, "pp": 3, "ep": 4, "moe_tp": 3, "redundant": 0})",
                              tests::model_of(R"({"preset": "deepseek-v3", "expert_ffn": 2049})"), 36);
  for (const MappingOrder order : kOrders) {
    CAPTURE(to_string(order));
    plan.mapping = order;
    for (std::int32_t rank = 0; rank < plan.gpus; ++rank) {
      const PlanRank at = plan_rank(plan, rank);
      CHECK(attention_rank(plan, at.stage, at.dp, at.tp) == rank);
      CHECK(expert_rank(plan, at.stage, at.ep, at.moe_tp) == rank);
      struct Group {
        std::vector<std::int32_t> members;
        std::int32_t size, own;
      };
      for (const Group& g : {Group{tp_group(plan, rank), plan.tp, at.tp},
                             {dp_group(plan, rank), plan.attention_dp, at.dp},
                             {ep_group(plan, rank), plan.ep, at.ep},
                             {moe_tp_group(plan, rank), plan.moe_tp, at.moe_tp}}) {
        REQUIRE(g.members.size() == static_cast<std::size_t>(g.size));
        CHECK(g.members[static_cast<std::size_t>(g.own)] == rank);
        for (const std::int32_t member : g.members) CHECK(plan_rank(plan, member).stage == at.stage);
      }
      CHECK(tp_group(plan, tp_group(plan, rank).front()) == tp_group(plan, rank));
      CHECK(ep_group(plan, ep_group(plan, rank).back()) == ep_group(plan, rank));
    }
    std::vector<std::int32_t> all;
    for (std::int32_t stage = 0; stage < plan.pp; ++stage) {
      const auto group = stage_group(plan, stage);
      CHECK(group.size() == static_cast<std::size_t>(plan.stage_gpus()));
      all.insert(all.end(), group.begin(), group.end());
    }
    std::sort(all.begin(), all.end());
    for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i] == static_cast<std::int32_t>(i));
  }
}

TEST_CASE("the innermost group shares a node, the others cross") {
  const Model model = tests::model_preset("deepseek-v3");
  const base::RankMap map = nodes_of(32, 8);
  const auto spread = [&](const char* mapping, auto group) {
    const std::string json =
        std::string(R"({"tp": 8, "attention_dp": 2, "pp": 2, "ep": 8, "moe_tp": 2, "mapping": ")") + mapping + "\"}";
    return group_spread(group(plan_of(json, model, 32), 0), map);
  };
  CHECK(spread("tp_innermost", tp_group).nodes == 1);
  CHECK(spread("tp_innermost", moe_tp_group).nodes == 1);
  CHECK(spread("tp_innermost", ep_group).nodes == 2);
  CHECK(spread("ep_innermost", tp_group).nodes == 1);
  CHECK(spread("ep_innermost", ep_group).nodes == 1);
  CHECK(spread("ep_innermost", moe_tp_group).nodes == 2);
  CHECK(spread("dp_innermost", tp_group).nodes == 2);
  CHECK(spread("dp_innermost", tp_group).most_in_a_domain == 4);
  CHECK(spread("pp_innermost", tp_group).nodes == 2);
  // Members of a group keep their places.
  const base::RankMap part = group_map({0, 8, 9}, map);
  CHECK(part.node == std::vector<std::int32_t>{0, 1, 1});
  CHECK(group_spread({0, 1, 2}, part).least_in_a_domain == 1);
}

TEST_CASE("stages hold all layers once, contiguously, and differ by at most one") {
  const Model model = tests::model_preset("deepseek-v3");
  for (const std::int32_t pp : {1, 2, 4, 16}) {
    CAPTURE(pp);
    const ParallelPlan plan = plan_of("{\"pp\": " + std::to_string(pp) + "}", model, pp);
    std::int32_t next = 0, moe = 0;
    for (std::int32_t stage = 0; stage < pp; ++stage) {
      const StageLayers layers = stage_layers(plan, model, stage);
      CHECK(layers.first == next);
      CHECK(layers.count - model.layers / pp <= 1);
      next += layers.count;
      moe += stage_moe_layers(plan, model, stage);
    }
    CHECK(next == model.layers);
    CHECK(moe == model.moe_layers());
  }
  CHECK(stage_moe_layers(plan_of(R"({"pp": 61})", model, 61), model, 2) == 0);  // a dense layer
}

TEST_CASE("on one GPU every group is the GPU itself") {
  const ParallelPlan plan = read_plan(nullptr, tests::model_preset("deepseek-v3"), 1);
  for (const auto& group :
       {tp_group(plan, 0), dp_group(plan, 0), ep_group(plan, 0), moe_tp_group(plan, 0), stage_group(plan, 0)})
    CHECK(group == std::vector<std::int32_t>{0});
}

}  // namespace
}  // namespace moesim::workloads
