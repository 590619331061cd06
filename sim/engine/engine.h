// An engine executes a TaskGraph. All engines give a graph the same meaning (see task_graph.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "results/timeline.h"
#include "sim/engine/task_graph.h"

namespace moesim::engine {

struct EngineOptions {
  double tolerance = 0;  // relative batching of completions, engine "fluid" only; 0 is exact
  bool certify = false;  // check max-min optimality after every solve, engine "fluid" only
  bool replay = true;    // simulate identical exchanges once, engine "fluid" only: the same bits either way
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;
  // Throws UnsupportedError for what this engine cannot express and StalledError when nothing can go on.
  virtual results::Timeline run(const TaskGraph& graph) const = 0;
};

// The graph is fine, but this engine cannot express it: says which feature, and which engine can.
class UnsupportedError : public base::InputError {
 public:
  UnsupportedError(std::string_view engine, const std::string& feature);
};

// Some events can never fire: names who waits for whom.
class StalledError : public base::InternalError {
 public:
  explicit StalledError(const std::string& what) : InternalError(what) {}
};

// Builds the message of a StalledError from the events that have not fired.
[[noreturn]] void throw_stalled(const TaskGraph& graph, const std::vector<bool>& fired, base::Duration at);

std::vector<std::string> engine_names();
std::string default_engine();  // what a scenario without "engine" runs on
// Throws InputError for an unknown name.
std::unique_ptr<Engine> make_engine(std::string_view name, const EngineOptions& options = {});

}  // namespace moesim::engine
