#include "calibration/profile/profile.h"

#include <cmath>

#include <doctest/doctest.h>

#include "base/error.h"

namespace moesim::profile {

TEST_CASE("every shipped profile is plausible and says where each number comes from") {
  for (const std::string& name : profile_presets()) {
    CAPTURE(name);
    const Profile profile = profile_preset(name);
    CHECK(profile.name == name);
    CHECK(profile.hash.size() == 16);
    if (profile.ideal) continue;
    CHECK(profile.sms.value >= 50);
    CHECK(profile.hbm_bandwidth.value > base::Bandwidth(0.25e12));
    CHECK(profile.hbm_bandwidth.value < base::Bandwidth(20e12));
    CHECK(profile.hbm_capacity.value >= base::Bytes(20e9));
    CHECK(profile.bf16.value > base::FlopRate(1e14));
    if (profile.fp8) CHECK(profile.fp8->value / profile.bf16.value == doctest::Approx(2).epsilon(0.02));
    CHECK_FALSE(profile.bf16.reference.empty());
    CHECK(profile.l2.value >= base::Bytes(20e6));
    CHECK(profile.l2.value <= base::Bytes(200e6));
    // An SM multiplies a power of two per cycle.
    const double per_cycle = profile.bf16.value.value() / (profile.sms.value * profile.clock.value.value());
    CHECK(std::log2(per_cycle) == doctest::Approx(std::round(std::log2(per_cycle))).epsilon(1e-3));
    CHECK(profile.launch.source == Source::Assumed);
    // Of what a layer's time depends on, only the launch is assumed; of MI300X memory and tensor rates too.
    CHECK(profile.assumptions().size() == (name == "mi300x" ? 4 : 1));
  }
}

TEST_CASE("a profile follows from the cluster's GPU") {
  CHECK(read_profile(nullptr, "h200").name == "h200");
  CHECK_THROWS_AS(read_profile(nullptr, "h201"), base::InputError);
}

TEST_CASE("the profile of another GPU is refused, ideal fits every GPU") {
  const auto read = [](const char* text) {
    const auto document = base::parse_json(text, "s.json");
    const base::JsonNode node(document);
    return read_profile(&node, "h200");
  };
  CHECK(read(R"({"preset": "ideal"})").ideal);
  CHECK(read(R"({"preset": "h200"})").name == "h200");
  CHECK_THROWS_WITH(read(R"({"preset": "h100"})"), doctest::Contains("another GPU"));
  CHECK_THROWS_WITH(read(R"({"preset": "h20"})"), doctest::Contains("did you mean"));
}

TEST_CASE("overridden values make a GPU hypothetical, equal ones do not") {
  const auto read = [](const char* text) {
    const auto document = base::parse_json(text, "s.json");
    const base::JsonNode node(document);
    return read_profile(&node, "h200");
  };
  const Profile own = read_profile(nullptr, "h200");
  const Profile same = read(R"({"override": {"hbm_bandwidth": "4.8 TB/s", "hbm_capacity": "141 GiB"}})");
  CHECK(same.hbm_bandwidth.source == Source::Datasheet);
  CHECK(same.hash == own.hash);
  const Profile faster = read(R"({"override": {"hbm_bandwidth": "8 TB/s"}})");
  CHECK(faster.hbm_bandwidth.value == base::Bandwidth(8e12));
  CHECK(faster.hbm_bandwidth.source == Source::Assumed);
  CHECK(faster.hbm_capacity.value == own.hbm_capacity.value);
  CHECK(faster.assumptions().front() ==
        "HBM bandwidth 8.00 TB/s (hypothetical GPU: NVIDIA H200 SXM 141GB has 4.80 TB/s)");
  CHECK(read(R"({"override": {"hbm_capacity": "280 GB"}})").assumptions().size() == own.assumptions().size() + 1);
  CHECK(faster.hash != own.hash);
  CHECK_THROWS_WITH(read(R"({"override": {"fp4": "1 PFLOP/s"}})"), doctest::Contains("multiplies no fp4"));
  CHECK_THROWS_WITH(read(R"({"override": {"hbm": "1 TB/s"}})"), doctest::Contains("hbm"));
  CHECK_THROWS_WITH(read(R"({"preset": "ideal", "override": {"bf16": "1 PFLOP/s"}})"), doctest::Contains("ideal"));
  CHECK_THROWS_AS(read("{}"), base::InputError);
}

TEST_CASE("a GPU without a profile starts from another's, all of whose rates it must replace") {
  const auto read = [](const std::string& text) {
    const auto document = base::parse_json(text, "a");
    const base::JsonNode node(document);
    return read_profile(&node, "h900");
  };
  CHECK_THROWS_WITH(read_profile(nullptr, "h900"), doctest::Contains("profile.override with hbm_bandwidth, hbm_cap"));
  CHECK_THROWS_WITH(read(R"({"preset": "h200"})"), doctest::Contains("needs profile.override.hbm_bandwidth"));
  CHECK_THROWS_WITH(
      read(
          R"({"preset": "h200", "override": {"hbm_bandwidth": "9 TB/s", "hbm_capacity": "1 TB", "bf16": "4 PFLOP/s"}})"),
      doctest::Contains("needs profile.override.fp8"));
  const Profile h900 = read(R"({"preset": "h200", "override": {"hbm_bandwidth": "4.8 TB/s", "hbm_capacity": "1 TB",
                                                               "bf16": "4 PFLOP/s", "fp8": "8 PFLOP/s"}})");
  CHECK(h900.name == "h900");
  CHECK(h900.bf16.value == base::FlopRate(4e15));
  CHECK(h900.hash != profile_preset("h200").hash);
  // Known from no table of its own; nothing of it is a datasheet's, the rate that is the other's included.
  CHECK(h900.kernel("gemm_bf16").relation() == Relation::SameFamily);
  CHECK(h900.hbm_bandwidth.source == Source::Assumed);
  CHECK(h900.fp8->source == Source::Assumed);
  CHECK(read(R"({"preset": "ideal"})").ideal);
}

}  // namespace moesim::profile
