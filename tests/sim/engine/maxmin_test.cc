#include "sim/engine/maxmin.h"

#include <cmath>

#include <doctest/doctest.h>

#include "base/random.h"
#include "sim/engine/decompose.h"
#include "tests/sim/engine/reference_engine.h"
#include "tests/sim/engine/small_graphs.h"

namespace moesim::tests {
namespace {

using engine::MaxMin;
using engine::MaxMinProblem;
using engine::VectorWidth;

struct ProblemOptions {
  std::uint32_t links = 4;
  std::uint32_t classes = 6;
  bool fractions = false;
  bool caps = false;
};

MaxMinProblem random_problem(base::RandomStream& random, const ProblemOptions& options) {
  MaxMinProblem problem;
  for (std::uint32_t l = 0; l < options.links; ++l) problem.capacity.push_back(0.1 + random.uniform());
  problem.route_begin.push_back(0);
  for (std::uint32_t c = 0; c < options.classes; ++c) {
    std::vector<std::uint32_t> links;
    for (std::uint64_t i = 1 + random.below(4); i > 0; --i) {
      const auto l = static_cast<std::uint32_t>(random.below(options.links));
      if (std::find(links.begin(), links.end(), l) == links.end()) links.push_back(l);
    }
    for (const std::uint32_t l : links) {
      problem.route_link.push_back(l);
      problem.route_weight.push_back(options.fractions ? 0.1 + random.uniform()
                                                       : 1 + static_cast<double>(random.below(3)));
    }
    problem.route_begin.push_back(static_cast<std::uint32_t>(problem.route_link.size()));
    problem.rate_cap.push_back(options.caps && random.below(3) == 0 ? 0.05 * static_cast<double>(1 + random.below(4))
                                                                    : engine::kNoCap);
    problem.room.push_back(4);
  }
  return problem;
}

// A random change of the solver and of `flows` and `problem` alike.
void change(base::RandomStream& random, MaxMin& solver, MaxMinProblem& problem, std::vector<std::uint32_t>& flows) {
  const auto c = static_cast<std::uint32_t>(random.below(flows.size()));
  const std::uint64_t kind = random.below(8);
  if (kind == 0) {
    const auto l = static_cast<std::uint32_t>(random.below(problem.links()));
    problem.capacity[l] = random.below(4) == 0 ? 0 : random.uniform();
    solver.set_capacity(l, problem.capacity[l]);
  } else if (kind < 4 && flows[c] < problem.room[c]) {
    solver.add(c);
    ++flows[c];
  } else if (kind >= 4 && flows[c] > 0) {
    solver.remove(c);
    --flows[c];
  }
}

std::vector<double> rates_of(const MaxMin& solver, std::span<const std::uint32_t> flows) {
  std::vector<double> rates(flows.size());
  for (std::uint32_t c = 0; c < flows.size(); ++c)
    if (flows[c] > 0) rates[c] = solver.rate(c);
  return rates;
}

std::vector<double> reference_rates(const MaxMinProblem& problem, std::span<const std::uint32_t> flows) {
  std::vector<Mover> movers;
  std::vector<std::size_t> klass;
  for (std::size_t c = 0; c < flows.size(); ++c) {
    for (std::uint32_t i = 0; i < flows[c]; ++i) {
      Mover mover{{}, problem.rate_cap[c]};
      for (std::uint32_t h = problem.route_begin[c]; h < problem.route_begin[c + 1]; ++h)
        mover.uses.push_back({engine::ResourceId(problem.route_link[h]), problem.route_weight[h]});
      movers.push_back(mover);
      klass.push_back(c);
    }
  }
  const std::vector<long double> capacity(problem.capacity.begin(), problem.capacity.end());
  const auto rates = progressive_filling(capacity, movers);
  std::vector<double> result(flows.size());
  for (std::size_t i = 0; i < movers.size(); ++i) result[klass[i]] = static_cast<double>(rates[i]);
  return result;
}

TEST_CASE("After any arrivals, completions and capacity changes the rates are those of progressive filling") {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    base::RandomStream random(seed, "maxmin");
    const ProblemOptions options{static_cast<std::uint32_t>(1 + random.below(30)),
                                 static_cast<std::uint32_t>(1 + random.below(40)), seed % 2 == 0, seed % 3 == 0};
    MaxMinProblem problem = random_problem(random, options);
    MaxMin solver;
    solver.build(problem);
    std::vector<std::uint32_t> flows(options.classes);
    for (int step = 0; step < 40; ++step) {
      for (std::uint64_t i = 1 + random.below(5); i > 0; --i) change(random, solver, problem, flows);
      solver.solve();
      const auto rates = rates_of(solver, flows), expected = reference_rates(problem, flows);
      REQUIRE(engine::certificate(problem, flows, rates, 1e-9) == "");
      for (std::size_t c = 0; c < rates.size(); ++c)
        REQUIRE(rates[c] == doctest::Approx(expected[c]).epsilon(1e-11).scale(1e-6));
    }
  }
}

TEST_CASE("The loops for all vector widths give the same bits") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<std::vector<double>> results;
    for (const VectorWidth width : {VectorWidth::Sse2, VectorWidth::Avx2, VectorWidth::Avx512}) {
      if (width > engine::widest_vectors()) continue;
      base::RandomStream random(seed, "widths");
      MaxMinProblem problem = random_problem(random, {40, 120, true, true});
      MaxMin solver(width);
      solver.build(problem);
      std::vector<std::uint32_t> flows(120);
      std::vector<double> all;
      for (int step = 0; step < 100; ++step) {
        change(random, solver, problem, flows);
        solver.solve();
        const auto rates = rates_of(solver, flows);
        all.insert(all.end(), rates.begin(), rates.end());
      }
      results.push_back(std::move(all));
    }
    for (const auto& result : results) CHECK(result == results.front());
  }
}

TEST_CASE("Entries of one, two and eight bytes give the same bits") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<std::vector<double>> results;
    for (const std::uint32_t room : {4, 300, 100'000}) {
      base::RandomStream random(seed, "entries");
      MaxMinProblem problem = random_problem(random, {40, 120, false, true});
      problem.room.assign(120, room);
      MaxMin solver;
      solver.build(problem);
      std::vector<std::uint32_t> flows(120);
      std::vector<double> all;
      for (int step = 0; step < 100; ++step) {
        change(random, solver, problem, flows);
        // As many flows as there is room for, which fewer bytes could not hold.
        const auto c = static_cast<std::uint32_t>(random.below(120));
        const std::uint32_t more = room - flows[c];
        if (more > 0) solver.add(c, more);
        flows[c] += more;
        solver.solve();
        REQUIRE(engine::certificate(problem, flows, rates_of(solver, flows), 1e-9) == "");
        if (more > 0) solver.remove(c, more);
        flows[c] -= more;
        solver.solve();
        const auto rates = rates_of(solver, flows);
        all.insert(all.end(), rates.begin(), rates.end());
      }
      results.push_back(std::move(all));
    }
    for (const auto& result : results) {
      REQUIRE(result.size() == results.front().size());
      for (std::size_t i = 0; i < result.size(); ++i) CHECK(result[i] == results.front()[i]);
    }
  }
}

TEST_CASE("The certificate of classes accepts max-min rates and says what is wrong with others") {
  // One long class over both links, two flows of a class on the first, one with a cap on the second.
  const MaxMinProblem problem{{10, 4},  {0, 2, 3, 4}, {0, 1, 0, 1}, {1, 1, 2, 1}, {engine::kNoCap, engine::kNoCap, 1.5},
                              {1, 2, 1}};
  const std::vector<std::uint32_t> flows{1, 2, 1};
  const auto verdict = [&](double a, double b, double c) {
    return engine::certificate(problem, flows, std::vector<double>{a, b, c}, 1e-12);
  };
  CHECK(verdict(10.0 / 5, 10.0 / 5, 1.5) == "");  // link 0 carries 1 x + 2 * 2 x
  CHECK(verdict(10.0 / 5, 10.0 / 5, 1.4) == "class 2 has no bottleneck");
  CHECK(verdict(2.2, 2.0, 1.5) == "link 0 is above its capacity");
  CHECK(verdict(1.6, 2.1, 1.5) == "class 0 has no bottleneck");  // its link is full, but others are faster
  CHECK(verdict(2, 2, 1.6) == "class 2 is above its cap");
}

TEST_CASE("Links that others keep from binding are dropped, and what they alone joined falls apart") {
  // Two relays of 50 into one port of 100, as NICs into an NVLink port, and one of 50 into a port of 40.
  engine::Routes routes;
  const auto add = [&](std::initializer_list<std::uint32_t> links) {
    routes.link.insert(routes.link.end(), links);
    routes.weight.insert(routes.weight.end(), links.size(), 1.0);
    routes.begin.push_back(static_cast<std::uint32_t>(routes.link.size()));
    routes.rate_cap.push_back(engine::kNoCap);
  };
  const std::uint32_t nic0 = 0, nic1 = 1, wide = 2, narrow = 3;
  add({nic0, wide});
  add({nic1, wide});
  add({nic1, narrow});
  const std::vector<double> capacity{50, 50, 100, 40};
  const std::vector<std::uint32_t> classes{0, 1, 2}, room{1, 1, 1};
  engine::Decomposer decomposer(capacity, capacity);
  decomposer.run(routes, classes, room);
  CHECK(decomposer.dropped(wide));
  CHECK(!decomposer.dropped(narrow));
  CHECK(!decomposer.dropped(nic1));
  CHECK(decomposer.families() == 1);
  CHECK(decomposer.components() == 2);
  CHECK(decomposer.component()[1] == decomposer.component()[2]);

  // A port that may shrink is kept, and so is one of two equal links in series.
  engine::Decomposer changing({50, 50, 99, 40}, capacity);
  changing.run(routes, classes, room);
  CHECK(changing.components() == 1);
  engine::Decomposer equal({50, 50, 50, 50}, {50, 50, 50, 50});
  equal.run(routes, std::vector<std::uint32_t>{0}, room);
  CHECK(equal.dropped(nic0) != equal.dropped(wide));
}

}  // namespace
}  // namespace moesim::tests
