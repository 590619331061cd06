#include "cli/program.h"

#include <iostream>
#include <new>

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

constexpr auto kVerbs = {add_run,   add_compare,   add_topology, add_trace,
                         add_model, add_calibrate, add_validate, add_waterfall};

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
    if (error.get_exit_code() == 0) return app.exit(error, out, err);  // --help, --version
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
