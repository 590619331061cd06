// The engines that the shared tests run on. An engine joins all of them by a line in engines_under_test.cc.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "sim/engine/engine.h"

namespace moesim::tests {

struct EngineUnderTest {
  std::string_view name;
  std::unique_ptr<engine::Engine> (*make)();
  bool expresses_everything = false;  // SM holds, multicast, capacity changes, any weights, computes that compete
};

std::span<const EngineUnderTest> engines_under_test();

// Runs `check` on each engine; failures within it name the engine.
void for_each_engine(const std::function<void(const engine::Engine&)>& check);
// The same on those that express everything.
void for_each_full_engine(const std::function<void(const engine::Engine&)>& check);

}  // namespace moesim::tests
