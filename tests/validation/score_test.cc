#include "validation/score.h"

#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "validation/kinds.h"

namespace moesim::validation {
namespace {

using calibration::Table;

// Rows "x,latency_us": predicted is x; x = 0 cannot be predicted.
TableKind made_up_kind() {
  TableKind kind;
  kind.name = "X1";
  kind.title = "made up";
  kind.columns = {"x", "latency_us"};
  kind.time_columns = {"latency_us"};
  kind.kernels = {profile::KernelModel{"made_up", "none", {}}};
  kind.read = [](const Table& table, const System&) {
    Samples result;
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const double x = table.number(row, "x");
      if (x == 0) {
        result.skipped.push_back({row, "x is 0"});
        continue;
      }
      Sample sample;
      sample.row = row;
      sample.measured_us = table.time_us(row, "latency_us");
      sample.kernel = "made_up";
      sample.group = x < 10 ? "small" : "large";
      sample.predict = [x](const System&, const profile::KernelParameters&) {
        return Estimate{base::Duration(x * 1e-6), 0, 0};
      };
      result.samples.push_back(std::move(sample));
    }
    return result;
  };
  return kind;
}

Score score_of(const Table& table, double width) {
  return validate(table, made_up_kind(), System("h100_sxm"), [&](std::string_view) {
    return profile::KernelParameters("made_up", {}, profile::Relation::FittedSystem, {{"", {width, width, width}}});
  });
}

}  // namespace

TEST_CASE("errors, bias and coverage are those of predicted over measured") {
  const Table table = Table::parse("x,latency_us\n1,1\n2,4\n30,20\n0,5\n0,6\n", "t.csv");
  const Score score = score_of(table, std::log(1.6));
  // Errors 0, -1/2, +1/2; ratios 1, 1/2 and 1.5, of which two lie within a factor of 1.6.
  CHECK(score.all.rows == 3);
  CHECK(score.all.median == doctest::Approx(0.5));
  CHECK(score.all.max == doctest::Approx(0.5));
  CHECK(score.all.bias == doctest::Approx(0));
  CHECK(score.all.coverage == doctest::Approx(2.0 / 3));
  CHECK(score.all.width == doctest::Approx((1.6 - 1 / 1.6) / 2));
  REQUIRE(score.groups.size() == 2);
  CHECK(score.groups[0].name == "small");
  CHECK(score.groups[0].rows == 2);
  CHECK(score.groups[1].bias == doctest::Approx(0.5));
  REQUIRE(score.skipped.size() == 1);
  CHECK(score.skipped[0].rows == 2);
  CHECK(score.skipped[0].reason == "x is 0");
}

TEST_CASE("every row of the table is either predicted or empty in the rows' file") {
  const Table table = Table::parse("x,latency_us\n1.25,1\n0,5\n30,20\n", "t.csv");
  CHECK(rows_csv(table, score_of(table, 0.1)) == "x,latency_us,predicted_us\n1.25,1,1.25\n0,5,\n30,20,30\n");
}

TEST_CASE("the JSON has the fields and no others") {
  const Table table = Table::parse("x,latency_us\n1,1\n2,4\n0,5\n", "t.csv");
  const base::Json json = to_json(score_of(table, 0.1));
  std::string keys, group_keys;
  for (const auto& [key, value] : json.items()) keys += key + " ";
  for (const auto& [key, value] : json["groups"][0].items()) group_keys += key + " ";
  CHECK(keys == "system kind rows median p90 max bias coverage groups skipped ");
  CHECK(group_keys == "name rows median p90 max ");
  CHECK(json["rows"] == 2);
  CHECK(json["skipped"][0] == base::Json{{"rows", 1}, {"reason", "x is 0"}});
}

TEST_CASE("a table of which nothing can be predicted has no errors rather than none of any size") {
  const Table table = Table::parse("x,latency_us\n0,1\n", "t.csv");
  const base::Json json = to_json(score_of(table, 0.1));
  CHECK(json["rows"] == 0);
  CHECK(json["median"].is_null());
}

TEST_CASE("a draw widens the interval on its side, in quadrature") {
  TableKind kind = made_up_kind();
  kind.read = [](const Table&, const System&) {
    Samples result;
    Sample sample;
    sample.measured_us = 1;
    sample.kernel = "made_up";
    sample.predict = [](const System&, const profile::KernelParameters&) {
      return Estimate{base::Duration(1e-6), 0.4, 0};
    };
    result.samples.push_back(std::move(sample));
    return result;
  };
  const Score score =
      validate(Table::parse("x,latency_us\n1,1\n", "t.csv"), kind, System("h100_sxm"), [](std::string_view) {
        return profile::KernelParameters("made_up", {}, profile::Relation::FittedSystem, {{"", {0.3, 0.3, 0.3}}});
      });
  CHECK(score.samples[0].low_us == doctest::Approx(std::exp(-0.5)));
  CHECK(score.samples[0].high_us == doctest::Approx(std::exp(0.3)));
}

TEST_CASE("a kind without a model says so") {
  TableKind kind = made_up_kind();
  kind.kernels.clear();
  CHECK_THROWS_WITH_AS(validate(Table::parse("x,latency_us\n1,1\n", "t.csv"), kind, System("h100_sxm"), {}),
                       doctest::Contains("X1 (made up) are not modelled yet"), base::InputError);
}

TEST_CASE("bad times of a GEMM table are errors, unknown formats are skipped rows") {
  const System system("a100_sxm");
  const auto read = [&](const std::string& row) {
    const Table table = Table::parse("dtype,m,n,k,latency_us\n" + row + "\n", "t.csv");
    return gemm_kind().read(table, system);
  };
  CHECK_THROWS_WITH(read("bfloat16,1,2,3,-4"), doctest::Contains("line 2"));
  CHECK_THROWS_WITH(read("bfloat16,1,2,3,nan"), doctest::Contains("latency_us"));
  CHECK_THROWS_WITH(read("fp8,1,2.5,3,4"), doctest::Contains("whole number"));
  CHECK(read("int3,1,2,3,4").skipped[0].reason == "GEMM in int3 is not modelled");
  CHECK(read("fp8,1,2,3,4").skipped[0].reason == "a100_sxm has no tensor cores for fp8");
  CHECK(read("bfloat16,1,2,3,4").samples.size() == 1);
}

}  // namespace moesim::validation
