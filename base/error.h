// The two kinds of failure. Bad input is the user's to mend: one line with source, place, value and what would be
// right, exit code 2. An internal error is ours: exit code 1. Both are caught in cli/ alone.
#pragma once

#include <stdexcept>
#include <string>

namespace moesim::base {

class InputError : public std::runtime_error {
 public:
  // source: file name or "--set path=value" ("" if none); place: JSON pointer or "line 12" ("" if none);
  // problem: what is wrong, with the value; expected: what would be right ("" if the problem says it).
  InputError(std::string source, std::string place, const std::string& problem, const std::string& expected = "");

  const std::string& source() const { return source_; }
  const std::string& place() const { return place_; }

 private:
  std::string source_;
  std::string place_;
};

class InternalError : public std::logic_error {
  using std::logic_error::logic_error;
};

// Throws InternalError with file and line unless `condition` holds. Not for input, not inside hot loops.
#define MOESIM_CHECK(condition, message) \
  ((condition) ? void(0) : ::moesim::base::fail_check(#condition, message, __FILE__, __LINE__))

[[noreturn]] void fail_check(const char* condition, const std::string& message, const char* file, int line);

}  // namespace moesim::base
