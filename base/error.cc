#include "base/error.h"

#include <utility>

namespace moesim::base {
namespace {

std::string join(const std::string& source, const std::string& place, const std::string& problem,
                 const std::string& expected) {
  std::string text = source;
  if (!place.empty()) text += (text.empty() ? "" : ": ") + place;
  text += (text.empty() ? "" : ": ") + problem;
  if (!expected.empty()) text += "; expected " + expected;
  return text;
}

}  // namespace

InputError::InputError(std::string source, std::string place, const std::string& problem, const std::string& expected)
    : std::runtime_error(join(source, place, problem, expected)),
      source_(std::move(source)),
      place_(std::move(place)) {}

void fail_check(const char* condition, const std::string& message, const char* file, int line) {
  throw InternalError(message + " (" + condition + ", " + file + ":" + std::to_string(line) + ")");
}

}  // namespace moesim::base
