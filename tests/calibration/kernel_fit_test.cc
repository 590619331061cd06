// Joint fits of a kernel on made-up systems.
#include "calibration/kernel_fit.h"

#include <array>
#include <cmath>

#include <doctest/doctest.h>

namespace moesim::calibration {
namespace {

using profile::KernelParameters;
using profile::ParameterSpec;
using profile::Scope;

constexpr std::array kSpecs{
    ParameterSpec{"launch", "us", 3, 0.1, 100, 1, Scope::System, "start-up"},
    ParameterSpec{"rate", "1/us", 5, 0.1, 100, 1, Scope::Family, "work per time"},
    ParameterSpec{"power", "1", 1.5, 0.5, 3, 1, Scope::Shared, "growth of work with size"},
};
const profile::KernelModel kModel{"made_up", "launch + size^power / rate", kSpecs};

double time(double launch, double rate, double power, double size) { return launch + std::pow(size, power) / rate; }

void add_system(std::vector<KernelObservation>& rows, const std::string& system, const std::string& family,
                std::size_t table, double launch, double rate, double power) {
  for (int exponent = 0; exponent <= 10; ++exponent) {
    const double size = std::ldexp(1.0, exponent);
    KernelObservation row;
    row.system = system;
    row.family = family;
    row.table = table;
    row.measured = {time(launch, rate, power, size), 1};
    row.size = size;
    row.predict = [size](const KernelParameters& p) { return time(p.at("launch"), p.at("rate"), p.at("power"), size); };
    rows.push_back(std::move(row));
  }
}

std::vector<KernelObservation> three_systems() {
  std::vector<KernelObservation> rows;
  add_system(rows, "x1", "x", 0, 2, 4, 1.2);
  add_system(rows, "x2", "x", 1, 8, 4, 1.2);
  add_system(rows, "y1", "y", 2, 4, 16, 1.2);
  return rows;
}

const std::vector<std::string> kTables{"x1.csv", "x2.csv", "y1.csv"};
constexpr double kNear = 0.02;  // priors pull a little

}  // namespace

TEST_CASE("shared, family and system parameters are found together") {
  const KernelFit fit = fit_kernel(kModel, three_systems(), kTables);
  CHECK(fit.assumed.empty());
  const auto at = [&](const char* system, const char* family, const char* name) {
    return profile::resolve(fit.calibration, system, family).at(name);
  };
  CHECK(at("x1", "x", "launch") == doctest::Approx(2).epsilon(kNear));
  CHECK(at("x2", "x", "launch") == doctest::Approx(8).epsilon(kNear));
  CHECK(at("x2", "x", "rate") == doctest::Approx(4).epsilon(kNear));
  CHECK(at("y1", "y", "rate") == doctest::Approx(16).epsilon(kNear));
  CHECK(at("y1", "y", "power") == doctest::Approx(1.2).epsilon(kNear));
}

TEST_CASE("wider scopes are geometric means of what is below them") {
  const KernelFit fit = fit_kernel(kModel, three_systems(), kTables);
  const auto x3 = profile::resolve(fit.calibration, "x3", "x");
  CHECK(x3.at("launch") == doctest::Approx(std::sqrt(2.0 * 8.0)).epsilon(kNear));
  CHECK(x3.relation() == profile::Relation::SameFamily);
  const auto other = profile::resolve(fit.calibration, "z1", "z");
  CHECK(other.at("launch") == doctest::Approx(std::sqrt(std::sqrt(2.0 * 8.0) * 4.0)).epsilon(kNear));
  CHECK(other.at("rate") == doctest::Approx(std::sqrt(4.0 * 16.0)).epsilon(kNear));
  CHECK(other.relation() == profile::Relation::OtherFamily);
}

TEST_CASE("the fit of one kernel does not depend on systems without its rows") {
  auto rows = three_systems();
  const KernelFit all = fit_kernel(kModel, rows, kTables);
  CHECK(profile::resolve(all.calibration, "x9", "x").at("rate") ==
        profile::resolve(all.calibration, "x1", "x").at("rate"));
  // Order of the systems does not matter either, within rounding.
  std::reverse(rows.begin(), rows.end());
  const KernelFit reversed = fit_kernel(kModel, rows, kTables);
  CHECK(profile::resolve(reversed.calibration, "y1", "y").at("rate") ==
        doctest::Approx(profile::resolve(all.calibration, "y1", "y").at("rate")).epsilon(1e-3));
}

TEST_CASE("a family whose rows say nothing of a parameter keeps the start value, as an assumption") {
  auto rows = three_systems();
  std::vector<KernelObservation> some;
  for (const KernelObservation& row : rows)
    if (row.system != "y1" || row.size == 1) some.push_back(row);
  for (KernelObservation& row : some) {
    if (row.system != "y1") continue;
    row.measured.value = 4;  // launch alone
    row.predict = [](const KernelParameters& p) { return p.at("launch"); };
  }
  const KernelFit fit = fit_kernel(kModel, some, kTables);
  REQUIRE(fit.assumed.size() == 1);
  CHECK(fit.assumed[0] == "rate of y");
  const auto y1 = profile::resolve(fit.calibration, "y1", "y");
  CHECK(y1.at("rate") == doctest::Approx(5));
  CHECK(y1.parameter("rate").source == profile::Source::Assumed);
  // and it does not enter the mean of the families
  CHECK(profile::resolve(fit.calibration, "z1", "z").at("rate") == doctest::Approx(4).epsilon(kNear));
}

TEST_CASE("what is shipped is what was scored") {
  const KernelFit fit = fit_kernel(kModel, three_systems(), kTables);
  const auto rows = three_systems();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto parameters = profile::resolve(fit.calibration, rows[i].system, rows[i].family);
    CHECK(fit.log_errors[i] == std::log(rows[i].predict(parameters) / rows[i].measured.value));
  }
  REQUIRE(fit.calibration.tables.size() == 3);
  CHECK(fit.calibration.tables[1].file == "x2.csv");
  CHECK(fit.calibration.tables[1].median < kNear);
}

}  // namespace moesim::calibration
