// What must hold for every step, whatever its numbers.
#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "sim/step/model_step.h"
#include "tests/approx.h"
#include "tests/sim/step/model_scenarios.h"
#include "workloads/npy.h"
#include "workloads/trace.h"

namespace moesim::step {
namespace {

using tests::Approx;
using tests::Parts;
using tests::phase;
using tests::run;
using tests::star;

const std::vector<Parts>& kinds_of_steps() {
  static const std::vector<Parts> kAll = [] {
    const Parts plain;
    std::vector<Parts> all{plain};
    const auto with = [&](const std::string& step, const std::string& more) {
      Parts parts = plain;
      if (!step.empty()) parts.step = step;
      parts.more = more;
      all.push_back(parts);
    };
    with(R"("phase": "prefill", "prefill_tokens": 1024, "prompt_tokens": 512, "overlap": "two_batch")", "");
    with(R"("batch": 32, "kv_tokens": 1024, "micro_batches": 2, "overlap": "none", "launch": "eager")", "");
    with("", R"("plan": {"tp": 8})");
    with("", R"("plan": {"tp": 2, "pp": 2, "mapping": "ep_innermost"})");
    with(R"("batch": 16, "kv_tokens": 512, "prefill_tokens": 256, "prompt_tokens": 128,
            "start_jitter": {"mean": "100 us"}, "speculative": {"draft_tokens": 2, "acceptance": 0.7})",
         R"("plan": {"redundant": 8}, "placement": {"strategy": "eplb"})");
    return all;
  }();
  return kAll;
}

base::Duration total(const std::string& step) {
  Parts parts;
  parts.step = step;
  return run(parts).total;
}

}  // namespace

TEST_CASE("the critical path is a chain from 0 to the end, and the phases' parts add up to the step") {
  for (const Parts& parts : kinds_of_steps()) {
    CAPTURE(parts.step);
    CAPTURE(parts.more);
    const auto result = run(parts);
    REQUIRE_FALSE(result.critical_path.empty());
    CHECK(result.critical_path.front().start.value() == 0);
    CHECK(result.critical_path.back().end == result.total);
    for (std::size_t i = 1; i < result.critical_path.size(); ++i)
      REQUIRE(result.critical_path[i].start == result.critical_path[i - 1].end);
    base::Duration sum(0);
    for (const results::Phase& p : result.phases) {
      CHECK(p.mean_late <= p.mean_rank * (1 + 1e-9));
      CHECK(p.fastest_rank <= p.mean_rank * (1 + 1e-9));
      CHECK(p.mean_rank <= p.slowest_rank * (1 + 1e-9));
      sum += p.critical;
    }
    CHECK(sum.value() == Approx(result.total.value()).epsilon(1e-9));
    CHECK(result.total >= result.lower_bound * (1 - 1e-9));
    CHECK(result.serving->exposed <= result.total);
    CHECK(result.serving->waiting < result.total);
    // What binds a phase, or all of them, is the kind of resource with most of its time on the path.
    std::map<std::string, std::map<std::string, double>> seconds;  // by phase ("": all), then by kind
    for (const results::CriticalStep& own : result.critical_path)
      for (const std::string& name : {std::string(), own.phase})
        seconds[name][own.binding.kind] += (own.end - own.start).value();
    for (const auto& [name, of_kind] : seconds) {
      const std::string& binds = name.empty() ? result.binding.kind : phase(result, name).binding.kind;
      for (const auto& [kind, own] : of_kind) CHECK(own <= of_kind.at(binds));
    }
  }
}

TEST_CASE("one GPU communicates with nobody") {
  Parts parts;
  parts.cluster = star(1);
  const auto result = run(parts);
  CHECK(result.links.empty());
  CHECK(result.serving->exposed == base::Duration(0));
  CHECK(result.serving->waiting == base::Duration(0));
  for (const char* name : {"dispatch", "combine", "TP collective"}) CHECK(tests::find_phase(result, name) == nullptr);
  CHECK(phase(result, "experts").critical > base::Duration(0));
}

TEST_CASE("ranks with the same work take the same time, and none waits for another") {
  Parts parts;
  parts.routing = R"({"preset": "balanced"})";
  parts.communication = R"({"kernel": "ideal"})";
  const auto result = run(parts);
  for (const results::Phase& p : result.phases) {
    CAPTURE(p.name);
    CHECK(p.fastest_rank.value() == Approx(p.slowest_rank.value()).epsilon(1e-9));
  }
  CHECK(result.serving->waiting.value() < 1e-12);
  parts.routing = Parts().routing;  // hot experts
  CHECK(run(parts).serving->waiting > base::Duration(1e-6));
}

TEST_CASE("relabelled GPUs take as long: their tokens and their experts move with them") {
  // Four GPUs, expert e on GPU e; token t of GPU g chooses experts by a rule. GPU g becomes GPU (3 g + 1) mod 4.
  const std::string file = std::filesystem::temp_directory_path() / "moesim-relabelled.npy";
  const auto with = [&](bool relabelled) {
    const auto moved = [&](int gpu) { return relabelled ? (3 * gpu + 1) % 4 : gpu; };
    workloads::Trace trace;
    trace.tokens = 32;
    trace.layers = 2;
    trace.top_k = 2;
    trace.passes = {0, trace.tokens};
    trace.ids.resize(static_cast<std::size_t>(trace.layers * trace.tokens * trace.top_k));
    for (int layer = 0; layer < 2; ++layer) {
      for (int gpu = 0; gpu < 4; ++gpu) {
        for (int token = 0; token < 8; ++token) {
          const int first = token < 2 + gpu ? 0 : (gpu + token + layer) % 4, second = (first + 1 + token % 3) % 4;
          const std::size_t row =
              std::size_t{8} * static_cast<std::size_t>(layer * 4 + moved(gpu)) + static_cast<std::size_t>(token);
          trace.ids[2 * row] = static_cast<std::uint16_t>(moved(first));
          trace.ids[2 * row + 1] = static_cast<std::uint16_t>(moved(second));
        }
      }
    }
    workloads::write_npy(trace, file);
    Parts parts;
    parts.cluster = star(4);
    parts.model = R"({"preset": "deepseek-v3", "layers": 2, "dense_layers": 0, "dense_ffn_layers": 0, "experts": 4,
                      "top_k": 2, "groups": 1, "top_groups": 1})";
    parts.routing = "{\"trace\": \"" + file + "\"}";
    parts.communication = R"({"kernel": "ideal"})";
    parts.step = R"("batch": 8, "kv_tokens": 256)";
    return run(parts);
  };
  const auto before = with(false), after = with(true);
  std::filesystem::remove(file);
  CHECK(after.total.value() == Approx(before.total.value()).epsilon(1e-12));
  for (const results::Phase& p : before.phases)
    CHECK(phase(after, p.name).mean_rank.value() == Approx(p.mean_rank.value()).epsilon(1e-9));
  CHECK(after.serving->waiting.value() == Approx(before.serving->waiting.value()).epsilon(1e-9));
  CHECK(before.serving->waiting.value() > 0);
}

TEST_CASE("two half batches one after another are never faster than one batch, and overlap only helps them") {
  for (const std::string batch : {"2", "64", "512"}) {
    CAPTURE(batch);
    const std::string step = "\"batch\": " + batch + R"(, "kv_tokens": 1024, "overlap": )";
    const auto halves = total(step + R"("none", "micro_batches": 2)");
    CHECK(halves >= total(step + R"("none")"));
    CHECK(total(step + R"("two_batch")") <= halves * (1 + 1e-9));
  }
}

TEST_CASE("a shared expert beside the dispatch is never slower than after it") {
  for (const char* batch : {"8", "256"}) {
    const std::string step = std::string("\"batch\": ") + batch + R"(, "kv_tokens": 1024, "overlap": )";
    CHECK(total(step + R"("shared_expert")") <= total(step + R"("none")") * (1 + 1e-9));
  }
}

TEST_CASE("drawn lengths of caches depend on the seed alone, and their mean is the one asked for") {
  const auto with = [](const std::string& lengths) {
    Parts parts;
    parts.step = "\"batch\": 256, \"kv_tokens\": " + lengths;
    return tests::read(parts);
  };
  const auto drawn = with(R"({"mean": 4096, "distribution": "exponential", "seed": 3})");
  CHECK(with(R"({"mean": 4096, "distribution": "exponential", "seed": 3})").whole->kv_of_copy ==
        drawn.whole->kv_of_copy);
  CHECK(with(R"({"mean": 4096, "distribution": "exponential", "seed": 4})").whole->kv_of_copy !=
        drawn.whole->kv_of_copy);
  for (const char* distribution : {"fixed", "uniform", "exponential"}) {
    CAPTURE(distribution);
    double sum = 0;
    const auto scenario = with(std::string(R"({"mean": 4096, "distribution": ")") + distribution + "\"}");
    for (const double mean : scenario.whole->kv_of_copy) sum += mean / 8;
    CHECK(sum == Approx(4096).epsilon(0.07));  // 2048 draws: 3 standard deviations of an exponential's mean
  }
  // Sequences that differ make a GPU wait where equal ones do not.
  Parts even, uneven;
  even.routing = uneven.routing = R"({"preset": "balanced"})";
  even.communication = uneven.communication = R"({"kernel": "ideal"})";
  even.step = R"("batch": 256, "kv_tokens": 4096)";
  uneven.step = R"("batch": 256, "kv_tokens": {"mean": 4096, "distribution": "exponential"})";
  CHECK(run(uneven).serving->waiting > run(even).serving->waiting + base::Duration(1e-6));
}

TEST_CASE("both engines agree on a small step") {
  for (const char* plan : {R"({"tp": 1})", R"({"tp": 2, "pp": 2})"}) {
    CAPTURE(plan);
    const auto with = [&](const char* engine) {
      Parts parts;
      parts.cluster = star(4);
      parts.step = R"("batch": 8, "kv_tokens": 512, "overlap": "two_batch", "start_jitter": {"mean": "10 us"})";
      parts.communication = R"({"kernel": "ideal"})";
      parts.more = std::string(R"("profile": {"preset": "ideal"}, "plan": )") + plan + ", \"engine\": {\"name\": \"" +
                   engine + "\"}";  // simgrid cannot express the shares of links that kernels use
      return run(parts);
    };
    const auto fluid = with("fluid"), oracle = with("simgrid");
    CHECK(fluid.total.value() == Approx(oracle.total.value()).epsilon(1e-6));
    CHECK(fluid.serving->waiting > base::Duration(1e-6));
    CHECK(fluid.serving->waiting.value() == Approx(oracle.serving->waiting.value()).epsilon(1e-3));
    CHECK(with("bound").total <= fluid.total * (1 + 1e-9));
  }
}

TEST_CASE("a step is the same on any number of threads and again") {
  const auto scenario = tests::read(kinds_of_steps().back());
  const auto once = results::to_json(sim::run(scenario, 1)), again = results::to_json(sim::run(scenario, 4));
  CHECK(once == again);
}

}  // namespace moesim::step
