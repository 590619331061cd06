#include "cli/checks.h"

#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/units.h"

namespace moesim::cli {
namespace {

// The verb of which more was expected, or that was given too much.
const CLI::App& innermost(const CLI::App& program) {
  const CLI::App* app = &program;
  for (auto parsed = app->get_subcommands(); !parsed.empty(); parsed = app->get_subcommands()) app = parsed.front();
  return *app;
}

std::vector<std::string> verbs_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  return names;
}

}  // namespace

std::string command_of(const CLI::App& verb) {
  const CLI::App* parent = verb.get_parent();
  return (parent == nullptr ? "" : command_of(*parent) + " ") + verb.get_name();
}

CLI::Validator number_in(double lowest, double highest) {
  const std::string range = base::format_number(lowest, 17) + " to " + base::format_number(highest, 17);
  return {[=](std::string& text) {
            char* end = nullptr;
            const double value = std::strtod(text.c_str(), &end);
            if (!text.empty() && *end == '\0' && value >= lowest && value <= highest) return std::string();
            return "\"" + text + "\"; expected a number from " + range;
          },
          range, "number_in"};
}

CLI::Validator whole_number_in(std::int64_t lowest, std::int64_t highest) {
  const std::string range = std::to_string(lowest) + " to " + std::to_string(highest);
  return {[=](std::string& text) {
            std::int64_t value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error == std::errc() && end == text.data() + text.size() && value >= lowest && value <= highest)
              return std::string();
            return "\"" + text + "\"; expected a whole number from " + range;
          },
          range, "whole_number_in"};
}

void check_verbs(const CLI::App& program, const std::vector<std::string>& arguments) {
  const CLI::App* app = &program;
  for (const std::string& word : arguments) {
    if (app->get_require_subcommand_min() == 0 || word.starts_with("-")) return;
    const std::vector<std::string> verbs = verbs_of(*app);
    if (std::find(verbs.begin(), verbs.end(), word) == verbs.end())
      throw base::InputError("", "",
                             "no such verb \"" + word + "\" of " + command_of(*app) + base::suggestion(word, verbs));
    app = app->get_subcommand(word);
  }
}

std::string message_of(const CLI::App& program, const CLI::ParseError& error) {
  const CLI::App& verb = innermost(program);
  const std::string command = command_of(verb);
  std::string text = error.what();
  if (verb.get_require_subcommand_min() > 0) {
    text = command + " needs a verb: one of ";
    for (const std::string& name : verbs_of(verb)) text += (text.ends_with("of ") ? "" : ", ") + name;
  } else if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::string first = verb.remaining().empty() ? program.remaining(true).front() : verb.remaining().front();
    text = command + ": \"" + first + "\" is not expected";
    std::vector<std::string> names;
    for (const CLI::Option* option : verb.get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    if (first.starts_with("-"))
      if (const auto near = base::did_you_mean(first, names)) return text + "; did you mean \"" + *near + "\"?";
  } else if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && text.find(": At Most 1 ") < text.size()) {
    text = text.substr(0, text.find(": At Most 1 ")) + ": given more than once";
  } else if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    text = command + ": " + text;
  }
  return text + "; " + command + " --help says more";
}

}  // namespace moesim::cli
