// The host side of the CUDA benchmarks: statistics, when to stop, what is swept, the document.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "kernels/harness/report.h"
#include "kernels/harness/statistics.h"
#include "kernels/harness/sweep.h"

namespace moesim::kernels {
namespace {

Machine machine(const std::string& uuid) {
  Machine m;
  m.gpu = "a GPU";
  m.uuid = uuid;
  return m;
}

Measurement point(double bytes) {
  Measurement m;
  m.benchmark = "hbm_copy";
  m.implementation = "x";
  m.parameters = {{"bytes", bytes}};
  m.bytes = 2 * bytes;
  m.samples_us = {3, 1, 2};
  m.clock_before_mhz = 1980;
  m.clock_after_mhz = 1755;
  return m;
}

}  // namespace

TEST_CASE("a summary has the order statistics, and noise from the quartiles alone") {
  const Summary s = summarise({5, 1, 4, 2, 3});
  CHECK(s.count == 5);
  CHECK(s.min == 1);
  CHECK(s.median == 3);
  CHECK(s.max == 5);
  CHECK(s.p10 == doctest::Approx(1.4));
  CHECK(s.noise == doctest::Approx((4 - 2) / 2.0 / 3));
  CHECK(summarise({5, 1, 4, 2, 3000}).noise == doctest::Approx((5 - 2) / 2.0 / 4));
  CHECK(summarise({}).count == 0);
  CHECK(summarise({7}).p90 == 7);
}

TEST_CASE("sampling stops when the median is known well enough, and not before the fewest samples") {
  StoppingRule rule;
  rule.fewest = 4;
  rule.most = 50;
  rule.relative_error = 0.01;
  CHECK_FALSE(rule.done({1, 1, 1}, 100));
  CHECK(rule.done({1, 1, 1, 1}, 0));
  std::vector<double> noisy;
  for (int i = 0; i < 20; ++i) noisy.push_back(i % 2 == 0 ? 1 : 2);
  CHECK_FALSE(rule.done(noisy, 0));
  CHECK(rule.done(noisy, rule.most_seconds));
  while (noisy.size() < 50) noisy.push_back(1.5);
  CHECK(rule.done(noisy, 0));
}

TEST_CASE("a clock that falls by more than 3 % is a throttled measurement, an unknown one is not") {
  CHECK(throttled(1980, 1755));
  CHECK_FALSE(throttled(1980, 1950));
  CHECK_FALSE(throttled(0, 1000));
  CHECK_FALSE(throttled(1980, 0));
}

TEST_CASE("a geometric sweep begins and ends where it should, without repeats") {
  CHECK(geometric(1, 64, 4) == std::vector<std::int64_t>{1, 4, 16, 64});
  CHECK(geometric(1, 3, 1.3) == std::vector<std::int64_t>{1, 2, 3});
  CHECK(geometric(5, 4, 2).empty());
}

TEST_CASE("tokens of experts add up to the selections: even, falling by a power law, or on an eighth of the experts") {
  for (const Load load : {Load::Even, Load::PowerLaw, Load::Few}) {
    for (const std::int64_t selections : {0, 1, 31, 4096}) {
      const auto tokens = tokens_per_expert(load, selections, 32, 1.0);
      CHECK(tokens.size() == 32);
      CHECK(std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0}) == selections);
    }
  }
  const auto even = tokens_per_expert(Load::Even, 4096, 32, 1), law = tokens_per_expert(Load::PowerLaw, 4096, 32, 1);
  CHECK(*std::min_element(even.begin(), even.end()) == 128);
  CHECK(static_cast<double>(law[0]) == doctest::Approx(2.0 * static_cast<double>(law[1])).epsilon(0.01));
  CHECK(tokens_per_expert(Load::Few, 4096, 32, 1)[4] == 0);
}

TEST_CASE("random choices of a token are distinct experts, the same for the same seed") {
  const auto ids = random_topk(100, 16, 8, 3);
  CHECK(ids == random_topk(100, 16, 8, 3));
  CHECK(ids != random_topk(100, 16, 8, 4));
  for (std::size_t token = 0; token < 100; ++token) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(8 * token);
    const std::set<std::int32_t> own(begin, begin + 8);
    CHECK(own.size() == 8);
    CHECK(*own.begin() >= 0);
    CHECK(*own.rbegin() < 16);
  }
}

TEST_CASE("the document holds every sample and its summary, and can be gone on with on the same GPU only") {
  Report report(machine("abc"));
  report.add(point(1024));
  report.skip("peer_copy", "there is one GPU");
  const nlohmann::json document = report.json();
  CHECK(document.at("schema") == "moesim.measurements/1");
  CHECK(document.at("measurements").at(0).at("samples").size() == 3);
  CHECK(document.at("measurements").at(0).at("summary").at("median") == 2);
  CHECK(document.at("measurements").at(0).at("throttled") == true);
  CHECK(document.at("skipped").at(0).at("reason") == "there is one GPU");

  Report again(machine("abc"));
  again.load(document);
  CHECK(again.has("hbm_copy", "x", {{"bytes", 1024}}));
  CHECK_FALSE(again.has("hbm_copy", "x", {{"bytes", 2048}}));
  CHECK(again.json().at("measurements") == document.at("measurements"));
  Report other(machine("def"));
  CHECK_THROWS_WITH_AS(other.load(document), "measured on another GPU", std::runtime_error);
  CHECK_THROWS_AS(other.load(nlohmann::json::object()), std::runtime_error);
}

TEST_CASE("a file is written whole, or an error says that it cannot be") {
  const std::string path = (std::filesystem::temp_directory_path() / "moesim-kernels-test.json").string();
  write_whole(path, "{}\n");
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  CHECK(text == "{}");
  std::remove(path.c_str());
  CHECK_THROWS_AS(write_whole("/no/such/folder/x.json", "{}"), std::runtime_error);
}

}  // namespace moesim::kernels
