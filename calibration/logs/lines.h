// The lines of a log, and errors that name them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace moesim::calibration {

struct Line {
  std::size_t number = 0;  // from 1
  std::string_view text;   // without the end of line and blanks around it
};
std::vector<Line> lines_of(std::string_view text);
std::vector<std::string_view> words_of(std::string_view line);  // between blanks

// A log's file, for what is wrong at a line of it.
class LogFile {
 public:
  explicit LogFile(std::string name) : name_(std::move(name)) {}
  const std::string& name() const { return name_; }
  [[noreturn]] void fail(std::size_t line, const std::string& problem, const std::string& expected = "") const;
  // Throws InputError for what is no finite number >= lowest.
  double number(std::size_t line, std::string_view word, const std::string& what, double lowest = 0) const;

 private:
  std::string name_;
};

// A JSON log: errors of JsonNode name a pointer; this adds the line on which the value of a pointer begins (0:
// unknown).
std::size_t line_of_pointer(std::string_view text, std::string_view pointer);
// Runs `read`; an InputError of it with a pointer as its place is thrown again with the line in front.
template <class Read>
auto with_lines(std::string_view text, Read read) {
  try {
    return read();
  } catch (const base::InputError& error) {
    if (error.place().empty() || error.place().front() != '/') throw;
    const std::size_t line = line_of_pointer(text, error.place());
    if (line == 0) throw;
    const std::string what = error.what();
    const std::size_t at = what.find(error.place());
    throw base::InputError(error.source(), "line " + std::to_string(line),
                           at == std::string::npos ? what : what.substr(at));
  }
}

// The first of these words that occurs as "<word>_perf" (nccl-tests' programs), "" if none.
std::string program_named(std::string_view text);
bool is_synthetic(std::string_view text);

}  // namespace moesim::calibration
