// The program, in process.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "cli/program.h"

namespace moesim::tests {

struct Run {
  int code;
  std::string out, err;
};

inline Run moesim(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  const int code = cli::run_program(arguments, out, err);
  return {code, out.str(), err.str()};
}

}  // namespace moesim::tests
