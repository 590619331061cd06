#include "sim/engine/engine.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "sim/engine/simgrid_engine.h"

namespace moesim::engine {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Engine> (*make)(const EngineOptions&);
};

constexpr std::array kEngines{
    Entry{"simgrid", make_simgrid_engine},
};

}  // namespace

UnsupportedError::UnsupportedError(std::string_view engine, const std::string& feature)
    : InputError("", "", "engine \"" + std::string(engine) + "\" cannot express " + feature, "engine \"fluid\"") {}

void throw_stalled(const TaskGraph& graph, const std::vector<bool>& fired, base::Duration at) {
  std::string text = "the task graph stalls at " + base::to_string(at) + ":";
  int shown = 0;
  for (std::size_t i = 0; i < fired.size() && shown < 5; ++i) {
    if (fired[i]) continue;
    const EventId event{i};
    std::string waits;
    for (const EventId p : graph.prerequisites(event))
      if (!fired[p.index()] && waits.size() < 120) waits += (waits.empty() ? "" : ", ") + graph.describe(p);
    text += (shown++ == 0 ? " " : "; ") + graph.describe(event) + " waits for " + (waits.empty() ? "its flows" : waits);
  }
  throw StalledError(text);
}

std::vector<std::string> engine_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kEngines) names.emplace_back(entry.name);
  return names;
}

std::string default_engine() { return "simgrid"; }

std::unique_ptr<Engine> make_engine(std::string_view name, const EngineOptions& options) {
  const auto found = std::find_if(kEngines.begin(), kEngines.end(), [&](const Entry& e) { return e.name == name; });
  if (found == kEngines.end()) {
    throw base::InputError("", "", "unknown engine \"" + std::string(name) + "\"" + base::suggestion(name, engine_names()));
  }
  return found->make(options);
}

}  // namespace moesim::engine
