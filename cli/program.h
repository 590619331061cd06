// The program as a function, so that tests call it in process.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace moesim::cli {

// Exit codes: 0 done; 2 bad input (one line on `err` says what, where, and what would be right); 1 a fault of ours.
int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace moesim::cli
