// What a verb of the command line is. Each is one file with one function of this shape, listed in program.cc.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace moesim::cli {

// Where a verb writes, and what it leaves to be done once the command line has been parsed.
struct Context {
  std::ostream& out;
  std::ostream& err;
  int terminal;  // file descriptor of the terminal that shows progress, -1 without one
  std::function<void()> action;
};

void add_run(CLI::App& program, Context& context);
void add_compare(CLI::App& program, Context& context);
void add_topology(CLI::App& program, Context& context);
void add_trace(CLI::App& program, Context& context);
void add_model(CLI::App& program, Context& context);
void add_calibrate(CLI::App& program, Context& context);
void add_validate(CLI::App& program, Context& context);
void add_waterfall(CLI::App& program, Context& context);
void add_plan(CLI::App& program, Context& context);

}  // namespace moesim::cli
