// What an attention's cost must obey, whatever its fitted parameters are.
#include "sim/lowering/attention.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "tests/approx.h"

namespace moesim::lowering {
namespace {

using profile::KernelParameters;
using profile::NamedParameters;
using profile::Profile;

template <class Check>
void for_every_gpu_and_cache(Check check) {
  for (const std::string& name : profile::profile_presets()) {
    const Profile profile = profile::profile_preset(name);
    if (profile.ideal) continue;
    for (const bool fp8_cache : {false, true}) {
      CAPTURE(name);
      CAPTURE(fp8_cache);
      check(profile, fp8_cache);
    }
  }
}

KernelCost prefill(const Profile& profile, std::int64_t heads, std::int64_t requests, std::int64_t tokens,
                   bool fp8_cache = false) {
  return prefill_attention_cost({mla_prefill_heads(heads), requests, tokens, fp8_cache, false}, profile,
                                profile.kernel("mla_prefill"));
}

KernelCost decode(const Profile& profile, std::int64_t heads, std::int64_t requests, std::int64_t tokens,
                  bool fp8_cache = false, bool repeated = false) {
  return decode_attention_cost({mla_decode_heads(heads), requests, tokens, fp8_cache, repeated}, profile,
                               profile.kernel("mla_decode"));
}

// The declared start values, some of them replaced.
KernelParameters parameters_with(std::string_view kernel, const std::vector<std::pair<std::string, double>>& values) {
  for (const profile::KernelModel& model : attention_kernels()) {
    if (model.name != kernel) continue;
    NamedParameters parameters = profile::uncalibrated(model).shared;
    for (auto& [name, parameter] : parameters)
      for (const auto& [replaced, value] : values)
        if (replaced == name) parameter.value = value;
    return KernelParameters(std::string(kernel), std::move(parameters));
  }
  return {};
}

}  // namespace

TEST_CASE("no prefill is faster than the tensor cores and the HBM of the datasheet allow") {
  for_every_gpu_and_cache([](const Profile& profile, bool fp8_cache) {
    for (const std::int64_t heads : {8, 16, 128}) {
      for (const std::int64_t requests : {1, 64}) {
        for (const std::int64_t tokens : {1, 100, 4096, 65536}) {
          const KernelCost cost = prefill(profile, heads, requests, tokens, fp8_cache);
          const auto pairs = static_cast<double>(heads * requests * tokens) * static_cast<double>(tokens + 1) / 2;
          const base::FlopRate rate = fp8_cache && profile.fp8 ? profile.fp8->value : profile.bf16.value;
          const auto elements = static_cast<double>(heads * requests * tokens) * 2 * (192 + 128);
          CHECK(cost.total > base::Flops(2 * (192 + 128) * pairs) / rate);
          CHECK(cost.total > base::Bytes(2 * elements) / profile.hbm_bandwidth.value);
          CHECK(cost.total >= cost.launch + std::max(cost.tensor, cost.memory) * (1 - 1e-12));
        }
      }
    }
  });
}

TEST_CASE("no decode is faster than the tensor cores and the HBM of the datasheet allow") {
  for_every_gpu_and_cache([](const Profile& profile, bool fp8_cache) {
    for (const std::int64_t heads : {8, 16, 32, 64, 128}) {
      for (const std::int64_t requests : {1, 70, 1000}) {
        for (const std::int64_t tokens : {1, 100, 4096, 131072}) {
          const KernelCost cost = decode(profile, heads, requests, tokens, fp8_cache);
          const auto keys = static_cast<double>(requests * tokens);
          const base::FlopRate rate = fp8_cache && profile.fp8 ? profile.fp8->value : profile.bf16.value;
          CHECK(cost.total > base::Flops(2 * (576 + 512) * keys * static_cast<double>(heads)) / rate);
          CHECK(cost.total > base::Bytes(576 * keys * (fp8_cache ? 1 : 2)) / profile.hbm_bandwidth.value);
          CHECK(cost.total >= cost.launch + std::max(cost.tensor, cost.memory) * (1 - 1e-12));
        }
      }
    }
  });
}

TEST_CASE("attention to more tokens or for more requests never gets faster") {
  for_every_gpu_and_cache([](const Profile& profile, bool fp8_cache) {
    for (const std::int64_t heads : {16, 32, 128}) {
      for (std::int64_t size = 1; size < 2000; size += 1 + size / 3) {
        const std::int64_t next = size + 1 + size / 3;
        CAPTURE(heads);
        CAPTURE(size);
        for (const std::int64_t other : {1, 60}) {
          CHECK(prefill(profile, heads, next, other, fp8_cache).total >=
                prefill(profile, heads, size, other, fp8_cache).total);
          CHECK(prefill(profile, heads, other, next, fp8_cache).total >=
                prefill(profile, heads, other, size, fp8_cache).total);
          for (const bool repeated : {false, true}) {
            CHECK(decode(profile, heads, next, other, fp8_cache, repeated).total >=
                  decode(profile, heads, size, other, fp8_cache, repeated).total);
            CHECK(decode(profile, heads, other, next, fp8_cache, repeated).total >=
                  decode(profile, heads, other, size, fp8_cache, repeated).total);
          }
        }
      }
    }
  });
}

TEST_CASE("no requests and no tokens cost the launch and nothing else") {
  const Profile profile = profile::profile_preset("h200");
  for (const KernelCost& cost : {prefill(profile, 16, 0, 100), prefill(profile, 16, 4, 0), decode(profile, 16, 0, 100),
                                 decode(profile, 16, 4, 0)}) {
    CHECK(cost.total == cost.launch);
    CHECK(cost.launch.value() > 0);
    CHECK(cost.tensor.value() == 0);
    CHECK(cost.memory.value() == 0);
  }
}

TEST_CASE("a long prefill takes the operations of its causal half over the share of the peak that blocks reach") {
  const Profile profile = profile::profile_preset("h100");
  const KernelParameters parameters = profile.kernel("mla_prefill");
  const std::int64_t heads = 128, tokens = 1 << 20;
  const auto pairs = static_cast<double>(heads) * static_cast<double>(tokens) * static_cast<double>(tokens) / 2;
  const double ideal = 2 * (192 + 128) * pairs / (parameters.at("F") * profile.bf16.value.value());
  CHECK(prefill(profile, heads, 1, tokens).total.value() == tests::Approx(ideal).epsilon(0.02));
}

TEST_CASE("decode over a long cache with few heads takes its bytes over the share of HBM that a stream reaches") {
  const Profile profile = profile::profile_preset("h100");
  // Nothing but the stream counts: fast tensor cores and fetches, short loads, sharp overlap.
  const KernelParameters parameters =
      parameters_with("mla_decode", {{"F", 1e3}, {"r", 1e6}, {"latency", 1e-2}, {"p", 1e3}});
  const std::int64_t requests = 128, tokens = 1 << 22;
  const KernelCost cost =
      decode_attention_cost({mla_decode_heads(16), requests, tokens, false, false}, profile, parameters);
  const double bytes = static_cast<double>(requests * tokens) * 576 * 2;
  const double ideal = bytes / (parameters.at("bw") * profile.hbm_bandwidth.value.value());
  CHECK(cost.total.value() == tests::Approx(ideal).epsilon(1e-3));
}

TEST_CASE("slow loads bind a stream by what shared memory has in flight beside the queries and keys at work") {
  const Profile profile = profile::profile_preset("b200");
  const double latency = 1e3;  // us
  const KernelParameters parameters =
      parameters_with("mla_decode", {{"F", 1e3}, {"r", 1e6}, {"latency", latency}, {"p", 1e3}});
  const std::int64_t requests = 148, tokens = 1 << 22;
  for (const bool fp8 : {false, true}) {
    const double bytes = 576 * (fp8 ? 1.0 : 2.0);
    const double in_flight = profile.sms.value * (228 * 1024 - (16 + 128) * bytes);
    const KernelCost cost =
        decode_attention_cost({mla_decode_heads(16), requests, tokens, fp8, false}, profile, parameters);
    CHECK(cost.memory.value() ==
          tests::Approx(static_cast<double>(requests * tokens) * bytes * latency * 1e-6 / in_flight).epsilon(1e-3));
  }
}

TEST_CASE("on Hopper sixteen query heads multiply as long as sixty-four, because a tile has 64 rows") {
  const Profile profile = profile::profile_preset("h100");
  const KernelParameters parameters = parameters_with("mla_decode", {{"F", 1e-2}, {"p", 1e3}});
  const auto tensor = [&](std::int64_t heads) {
    return decode_attention_cost({mla_decode_heads(heads), 132, 4096, false, false}, profile, parameters)
        .tensor.value();
  };
  CHECK(tensor(16) == tensor(64));
  CHECK(tensor(128) == tests::Approx(2 * tensor(64)));
}

TEST_CASE("a cache that stays in L2 is read faster, one that outgrows it is not") {
  const Profile profile = profile::profile_preset("b200");
  const double l2 = profile.l2.value.value();
  const std::int64_t requests = 148;
  const auto tokens = [&](double share) { return static_cast<std::int64_t>(share * l2 / (576.0 * 2 * 148)); };
  CHECK(decode(profile, 16, requests, tokens(0.2), false, true).memory <
        decode(profile, 16, requests, tokens(0.2), false, false).memory * 0.9);
  CHECK(decode(profile, 16, requests, tokens(10), false, true).memory.value() ==
        tests::Approx(decode(profile, 16, requests, tokens(10), false, false).memory.value()).epsilon(1e-3));
}

TEST_CASE("grouped-query attention takes MLA's rates, assumed, with a wider interval") {
  const Profile profile = profile::profile_preset("h100");
  for (const char* kernel : {"mla_prefill", "mla_decode"}) {
    const KernelParameters measured = profile.kernel(kernel), assumed = grouped_query_parameters(profile, kernel);
    REQUIRE(assumed.all().size() == measured.all().size());
    for (const auto& entry : assumed.all()) {
      CHECK(entry.second.value == measured.at(entry.first));
      CHECK(entry.second.source == profile::Source::Assumed);
    }
    CHECK(assumed.log_error() > measured.log_error());
  }
}

TEST_CASE("a long decode reads the keys and values of the key heads, however many query heads share them") {
  const Profile profile = profile::profile_preset("h100");
  const KernelParameters parameters = grouped_query_parameters(profile, "mla_decode");
  const std::int64_t requests = 264, tokens = 1 << 17;
  const auto memory = [&](std::int64_t query, std::int64_t keys, bool fp8) {
    return decode_attention_cost({grouped_query_heads(query, keys, 128), requests, tokens, fp8, false}, profile,
                                 parameters)
        .memory.value();
  };
  const double rate = parameters.at("bw") * profile.hbm_bandwidth.value.value();
  const double cache = static_cast<double>(requests * tokens) * 8 * 2 * 128 * 2;
  CHECK(memory(8, 8, false) == tests::Approx(cache / rate).epsilon(1e-3));
  CHECK(memory(64, 8, false) == tests::Approx(memory(8, 8, false)).epsilon(1e-3));
  CHECK(memory(64, 64, false) == tests::Approx(8 * memory(64, 8, false)).epsilon(1e-3));
  CHECK(memory(64, 8, true) == tests::Approx(memory(64, 8, false) / 2).epsilon(1e-3));
}

TEST_CASE("a long prefill multiplies for every query head, whether or not heads share keys") {
  const Profile profile = profile::profile_preset("b200");
  const KernelParameters parameters = grouped_query_parameters(profile, "mla_prefill");
  const std::int64_t tokens = 1 << 18;
  for (const std::int64_t keys : {4, 32}) {
    const KernelCost cost =
        prefill_attention_cost({grouped_query_heads(32, keys, 128), 2, tokens, false, false}, profile, parameters);
    const double pairs = 2.0 * 32 * static_cast<double>(tokens) * static_cast<double>(tokens) / 2;
    const double ideal = 2 * (128 + 128) * pairs / (parameters.at("F") * profile.bf16.value.value());
    CHECK(cost.total.value() == tests::Approx(ideal).epsilon(0.03));
  }
}

}  // namespace moesim::lowering
