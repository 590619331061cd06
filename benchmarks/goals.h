// Measured values against their goals: a table for people, and JSON.
#pragma once

#include <string>
#include <vector>

namespace moesim::benchmarks {

struct Goal {
  enum class Kind { AtLeast, AtMost };
  std::string name;
  double value = 0;
  std::string unit;
  Kind kind = Kind::AtMost;
  double goal = 0;
  std::string note;  // how the value came about: "1.16 s / 13.5 ms"

  bool met() const { return kind == Kind::AtLeast ? value >= goal : value <= goal; }
};

// Prints each goal as it comes.
class Report {
 public:
  void add(Goal goal);
  // [{"name", "value", "unit", "goal", "met"}]; the file appears whole or not at all.
  void write_json(const std::string& path) const;
  int missed() const;

 private:
  std::vector<Goal> goals_;
};

}  // namespace moesim::benchmarks
