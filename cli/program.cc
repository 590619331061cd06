#include "cli/program.h"

#include <iostream>
#include <new>
#include <sstream>

#include <CLI/CLI.hpp>
#include <unistd.h>

#include "base/error.h"
#include "base/version.h"
#include "cli/checks.h"
#include "cli/verb.h"

namespace moesim::cli {
namespace {

constexpr int kDone = 0;
constexpr int kOurFault = 1;
constexpr int kBadInput = 2;

constexpr auto kVerbs = {add_run,       add_compare,  add_topology,  add_trace, add_model,
                         add_calibrate, add_validate, add_waterfall, add_plan};

// Lines of help within the width of reports: what is cut goes on below the options' descriptions.
std::string folded(const std::string& help) {
  constexpr std::size_t kWidth = 118, kDescriptions = 30;
  std::istringstream lines(help);
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    while (line.size() > kWidth) {
      const std::size_t cut = line.rfind(' ', kWidth);
      if (cut == std::string::npos || cut <= kDescriptions) break;
      text += line.substr(0, cut) + "\n";
      line = std::string(kDescriptions, ' ') + line.substr(cut + 1);
    }
    text += line + "\n";
  }
  return text;
}

}  // namespace

int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App app(
      "Simulates how Mixture-of-Experts models use the interconnects of GPU clusters.\n"
      "Example: moesim compare examples/*.json",
      "moesim");
  app.set_version_flag("--version", std::string("moesim ") + base::version());
  app.require_subcommand(1);
  Context context{out, err, &err == &std::cerr ? STDERR_FILENO : -1, {}};
  for (const auto add : kVerbs) add(app, context);

  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    check_verbs(app, arguments);
    app.parse(reversed);
    context.action();
    out.flush();
    if (!out) throw base::InputError("standard output", "", "cannot be written to its end");
    return kDone;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      std::ostringstream text;
      app.exit(error, text, err);
      out << folded(text.str());
      return kDone;
    }
    err << "moesim: " << message_of(app, error) << "\n";
    return kBadInput;
  } catch (const base::InputError& error) {
    err << "moesim: " << error.what() << "\n";
    return kBadInput;
  } catch (const std::bad_alloc&) {
    err << "moesim: out of memory\n";
    return kOurFault;
  } catch (const std::exception& error) {
    err << "moesim: internal error: " << error.what() << "\n";
    return kOurFault;
  }
}

}  // namespace moesim::cli
