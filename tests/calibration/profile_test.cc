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

}  // namespace moesim::profile
