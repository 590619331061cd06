// The verbs below `calibrate`, one file each, and what they print alike.
#pragma once

#include <ostream>
#include <string>

#include "cli/verb.h"
#include "validation/from_logs.h"

namespace moesim::cli {

// What was read, fitted and compared with what the profile said before.
void print(const validation::FromLogs& result, std::ostream& out);

void add_calibrate_fit(CLI::App& verb, Context& context);
void add_calibrate_measure(CLI::App& verb, Context& context);
void add_calibrate_show(CLI::App& verb, Context& context);  // show and diff
void add_calibrate_check(CLI::App& verb, Context& context);

}  // namespace moesim::cli
