#include "tests/sim/engine/engines_under_test.h"

#include <array>
#include <string>

#include <doctest/doctest.h>

#include "tests/sim/engine/reference_engine.h"

namespace moesim::tests {
namespace {

constexpr std::array kEngines{
    EngineUnderTest{"reference", make_reference_engine, true},
    EngineUnderTest{"fluid", [] { return engine::make_engine("fluid", {.certify = true}); }, true},
    EngineUnderTest{"simgrid", [] { return engine::make_engine("simgrid"); }, false},
};

}  // namespace

std::span<const EngineUnderTest> engines_under_test() { return kEngines; }

void for_each_engine(const std::function<void(const engine::Engine&)>& check) {
  for (const EngineUnderTest& under_test : kEngines) {
    INFO("engine ", std::string(under_test.name));
    check(*under_test.make());
  }
}

void for_each_full_engine(const std::function<void(const engine::Engine&)>& check) {
  for (const EngineUnderTest& under_test : kEngines) {
    INFO("engine ", std::string(under_test.name));
    if (under_test.expresses_everything) check(*under_test.make());
  }
}

}  // namespace moesim::tests
