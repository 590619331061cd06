#include "sim/engine/engine.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "sim/engine/bound_engine.h"
#include "sim/engine/fluid_engine.h"
#include "sim/engine/simgrid_engine.h"

namespace moesim::engine {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Engine> (*make)(const EngineOptions&);
};

constexpr std::array kEngines{
    Entry{"fluid", make_fluid_engine},
    Entry{"simgrid", make_simgrid_engine},
    Entry{"bound", make_bound_engine},
};

}  // namespace

UnsupportedError::UnsupportedError(std::string_view engine, const std::string& feature)
    : InputError("", "", "engine \"" + std::string(engine) + "\" cannot express " + feature, "engine \"fluid\"") {}

void throw_stalled(const TaskGraph& graph, const std::vector<bool>& fired, base::Duration at) {
  constexpr std::size_t kShown = 5, kLongest = 120;
  std::vector<std::string> waiting;
  for (std::size_t i = 0; i < fired.size(); ++i) {
    if (fired[i]) continue;
    const TaskGraph::Owner owner = graph.owner(EventId{i});
    const bool of_exchange = owner.role == TaskGraph::Role::Sent || owner.role == TaskGraph::Role::Done ||
                             owner.role == TaskGraph::Role::AllDone;
    std::string waits;
    bool follows = false;  // from another event of its exchange or compute, which says it all
    for (const EventId p : graph.prerequisites(EventId{i})) {
      if (fired[p.index()]) continue;
      const TaskGraph::Owner of = graph.owner(p);
      follows |= of_exchange && of.index == owner.index && of.role >= TaskGraph::Role::Start;
      if (waits.size() < kLongest) waits += (waits.empty() ? "" : ", ") + graph.describe(p);
    }
    const bool of_compute = owner.role == TaskGraph::Role::ComputeDone;
    follows |= of_compute && !fired[graph.compute_events()[owner.index].start.index()];
    if (waits.empty()) waits = of_compute ? "its work" : "its flows";
    if (!follows) waiting.push_back(graph.describe(EventId{i}) + " waits for " + waits);
  }
  std::string text = "the task graph stalls at " + base::to_string(at) + ":";
  for (std::size_t i = 0; i < std::min(waiting.size(), kShown); ++i) text += (i == 0 ? " " : "; ") + waiting[i];
  if (waiting.size() > kShown) text += "; and " + std::to_string(waiting.size() - kShown) + " more";
  throw StalledError(text);
}

std::vector<std::string> engine_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kEngines) names.emplace_back(entry.name);
  return names;
}

std::string default_engine() { return "fluid"; }

std::unique_ptr<Engine> make_engine(std::string_view name, const EngineOptions& options) {
  const auto found = std::find_if(kEngines.begin(), kEngines.end(), [&](const Entry& e) { return e.name == name; });
  if (found == kEngines.end()) {
    throw base::InputError("", "",
                           "unknown engine \"" + std::string(name) + "\"" + base::suggestion(name, engine_names()));
  }
  return found->make(options);
}

}  // namespace moesim::engine
