#include "calibration/profile/kernel_parameters.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "calibration/profile/profile.h"

namespace moesim::profile {
namespace {

Parameter value(double number) { return {number, "us", Source::Fitted, "made up", 0.1}; }

// a: known of everything; b: of families; c: shared alone.
KernelCalibration made_up() {
  KernelCalibration c;
  c.kernel = "made_up";
  c.mechanism = "none";
  c.shared = {{"a", value(1)}, {"b", value(2)}, {"c", value(3)}};
  c.families = {{"ampere", {{"a", value(10)}, {"b", value(20)}}}, {"hopper", {{"a", value(11)}, {"b", value(21)}}}};
  c.systems = {{"h100", {{"a", value(100)}}}};
  c.tables = {{"t/h100.csv", "h100", "hopper", 5, 0.01, 0.02}, {"t/a100.csv", "a100", "ampere", 5, 0.01, 0.02}};
  c.errors = {{"", {0.1, 0.2, 0.3}}, {"small", {0.4, 0.5, 0.6}}};
  return c;
}

}  // namespace

TEST_CASE("a parameter comes from the system, else its family, else the family it descends from, else from all") {
  const KernelCalibration c = made_up();
  const auto h100 = resolve(c, "h100", "hopper");
  CHECK(h100.at("a") == 100);
  CHECK(h100.at("b") == 21);
  CHECK(h100.at("c") == 3);
  CHECK(resolve(c, "h200", "hopper").at("a") == 11);
  CHECK(resolve(c, "l40s", "ada").at("a") == 10);
  CHECK(resolve(c, "rtx_pro_6000", "blackwell_sm120").at("b") == 20);
  CHECK(resolve(c, "b200", "blackwell").at("a") == 1);
  CHECK_THROWS_AS(h100.at("d"), base::InternalError);
}

TEST_CASE("intervals widen with the distance to what was measured") {
  const KernelCalibration c = made_up();
  CHECK(resolve(c, "h100", "hopper").log_error() == 0.1);
  CHECK(resolve(c, "h200", "hopper").log_error() == 0.2);
  CHECK(resolve(c, "b200", "blackwell").log_error() == 0.3);
  CHECK(resolve(c, "h200", "hopper").log_error("small") == 0.5);
  CHECK(resolve(c, "h200", "hopper").log_error("unheard of") == 0.2);
}

TEST_CASE("a calibration reads back as it was written") {
  const base::Json json = to_json(made_up());
  const auto document = base::parse_json(json.dump(), "made_up.json");
  const KernelCalibration again = read_kernel_calibration(base::JsonNode(document));
  CHECK(to_json(again) == json);
  CHECK(resolve(again, "h100", "hopper").at("a") == 100);
}

TEST_CASE("every shipped calibration names its tables, units and sources, and resolves for every GPU") {
  for (const std::string& kernel : calibrated_kernels()) {
    CAPTURE(kernel);
    const KernelCalibration& c = *kernel_calibration(kernel);
    CHECK(c.kernel == kernel);
    CHECK_FALSE(c.tables.empty());
    CHECK_FALSE(c.mechanism.empty());
    CHECK(c.errors.contains(""));
    for (const std::string& name : profile_presets()) {
      const Profile profile = profile_preset(name);
      if (profile.ideal) continue;
      const KernelParameters parameters = profile.kernel(kernel);
      CHECK(parameters.log_error() > 0);
      for (const auto& entry : parameters.all()) {
        const auto& p = entry.second;
        CAPTURE(entry.first);
        CHECK(p.value > 0);
        CHECK_FALSE(p.unit.empty());
        CHECK_FALSE(p.reference.empty());
        CHECK((p.source == Source::Fitted || p.source == Source::Assumed));
      }
    }
  }
  CHECK_THROWS_WITH(kernel_calibration("gemm_bf17"), doctest::Contains("did you mean \"gemm_bf16\""));
}

TEST_CASE("a GPU without a table has exactly the parameters of its family") {
  for (const std::string& kernel : calibrated_kernels()) {
    const KernelCalibration& c = *kernel_calibration(kernel);
    for (const std::string& name : profile_presets()) {
      const Profile profile = profile_preset(name);
      const bool has_rows =
          std::any_of(c.tables.begin(), c.tables.end(), [&](const FittedTable& t) { return t.system == name; });
      if (profile.ideal || has_rows) continue;
      CAPTURE(kernel);
      CAPTURE(name);
      const auto own = profile.kernel(kernel), nobody = resolve(c, "nobody", profile.family);
      for (const auto& [parameter, p] : own.all()) CHECK(p.value == nobody.at(parameter));
      CHECK(own.relation() != Relation::FittedSystem);
    }
  }
}

TEST_CASE("for every GPU without rows of its own, every shipped kernel has exactly the values of the family rule") {
  for (const std::string& kernel : calibrated_kernels()) {
    const KernelCalibration& c = *kernel_calibration(kernel);
    for (const std::string& name : profile_presets()) {
      const Profile gpu = profile_preset(name);
      if (gpu.ideal) continue;
      bool fitted = false;
      for (const FittedTable& table : c.tables) fitted = fitted || table.system == name;
      if (fitted) continue;
      CAPTURE(kernel);
      CAPTURE(name);
      for (const auto& [parameter, shared] : c.shared) {
        double expected = shared.value;
        for (std::string_view family = gpu.family; !family.empty(); family = family_parent(family)) {
          bool found = false;
          for (const auto& [known, values] : c.families) {
            if (known != family) continue;
            for (const auto& [key, of_family] : values) {
              if (key != parameter) continue;
              expected = of_family.value;
              found = true;
            }
          }
          if (found) break;
        }
        CHECK(gpu.kernel(kernel).at(parameter) == expected);
      }
    }
  }
}

}  // namespace moesim::profile
