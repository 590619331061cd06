#include "benchmarks/goals.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/units.h"

namespace moesim::benchmarks {

void Report::add(Goal goal) {
  if (goals_.empty()) std::printf("%-58s %12s   %-12s %-5s %s\n", "benchmark", "value", "goal", "met", "how");
  const auto text = [&](double value) { return base::format_number(value, 3) + " " + goal.unit; };
  const std::string limit = (goal.kind == Goal::Kind::AtLeast ? ">= " : "<= ") + text(goal.goal);
  std::printf("%-58s %12s   %-12s %-5s %s\n", goal.name.c_str(), text(goal.value).c_str(), limit.c_str(),
              goal.met() ? "yes" : "NO", goal.note.c_str());
  std::fflush(stdout);
  goals_.push_back(std::move(goal));
}

void Report::write_json(const std::string& path) const {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Goal& goal : goals_) {
    rows.push_back(
        {{"name", goal.name}, {"value", goal.value}, {"unit", goal.unit}, {"goal", goal.goal}, {"met", goal.met()}});
  }
  base::write_file(path, rows.dump(1) + "\n");
}

int Report::missed() const {
  return static_cast<int>(std::count_if(goals_.begin(), goals_.end(), [](const Goal& goal) { return !goal.met(); }));
}

}  // namespace moesim::benchmarks
