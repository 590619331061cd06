#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/calibrate.h"
#include "report/table.h"
#include "validation/kinds.h"

namespace moesim::cli {
namespace {

// One number of a profile, as text and to compare.
struct Number {
  std::string name, value;
  double raw = 0;
  profile::Source source = profile::Source::Assumed;
  double error = 0;
  std::string reference;
};

profile::Profile load(const std::string& name) {
  const auto presets = profile::profile_presets();
  const bool preset = std::find(presets.begin(), presets.end(), name) != presets.end();
  if (!preset && name.find('.') == std::string::npos && name.find('/') == std::string::npos)
    return profile::profile_preset(name);  // says what there is
  return preset ? profile::profile_preset(name) : profile::load_profile(name);
}

template <class T>
void add(std::vector<Number>& numbers, const std::string& name, const profile::Sourced<T>& number) {
  if constexpr (std::is_same_v<T, double>)
    numbers.push_back({name, base::format_number(number.value, 4), number.value, number.source, number.relative_error,
                       number.reference});
  else
    numbers.push_back({name, base::to_string(number.value, 4), number.value.value(), number.source,
                       number.relative_error, number.reference});
}

std::vector<Number> gpu_numbers(const profile::Profile& p) {
  std::vector<Number> numbers;
  if (p.ideal) return numbers;
  add(numbers, "sms", p.sms);
  add(numbers, "clock", p.clock);
  add(numbers, "hbm_bandwidth", p.hbm_bandwidth);
  add(numbers, "hbm_capacity", p.hbm_capacity);
  add(numbers, "l2", p.l2);
  add(numbers, "bf16", p.bf16);
  if (p.fp8) add(numbers, "fp8", *p.fp8);
  if (p.fp4) add(numbers, "fp4", *p.fp4);
  add(numbers, "power", p.power);
  add(numbers, "launch", p.launch);
  for (const auto& [name, link] : {std::pair("nvlink", &p.links.nvlink), std::pair("pcie", &p.links.pcie),
                                   std::pair("network", &p.links.network)}) {
    if (link->share) add(numbers, std::string(name) + " share", *link->share);
    if (link->latency) add(numbers, std::string(name) + " latency", *link->latency);
  }
  return numbers;
}

std::vector<std::string> kernels_of(const profile::Profile& p) {
  std::vector<std::string> names = profile::calibrated_kernels();
  for (const auto& own : p.kernels)
    if (std::find(names.begin(), names.end(), own->kernel) == names.end()) names.push_back(own->kernel);
  return names;
}

std::vector<Number> kernel_numbers(const profile::Profile& p, const std::string& kernel) {
  std::vector<Number> numbers;
  if (p.ideal || p.calibration(kernel) == nullptr) return numbers;
  const profile::KernelParameters parameters = p.kernel(kernel);
  for (const auto& [name, q] : parameters.all())
    numbers.push_back({name, base::format_number(q.value, 4) + (q.unit == "1" ? "" : " " + q.unit), q.value, q.source,
                       q.relative_error, q.reference});
  return numbers;
}

std::string error_text(double error) { return error > 0 ? "+- " + base::format_number(100 * error, 3) + " %" : "-"; }

// References are long and shared by many rows: numbered below the table.
void print(const std::string& title, const std::vector<Number>& numbers, std::ostream& out) {
  report::Table table({title, "value", "80 % interval", "source", ""});
  std::vector<std::string> references;
  for (const Number& n : numbers) {
    const auto at = std::find(references.begin(), references.end(), n.reference);
    const std::string mark = "[" + std::to_string(at - references.begin() + 1) + "]";
    if (at == references.end()) references.push_back(n.reference);
    table.add_row({n.name, n.value, error_text(n.error), std::string(to_string(n.source)), mark});
  }
  out << table.text();
  for (std::size_t i = 0; i < references.size(); ++i)
    out << report::wrap("  [" + std::to_string(i + 1) + "] " + references[i], 6);
}

// What the parameters of a kernel stand for.
void print_meanings(const std::string& kernel, std::ostream& out) {
  for (const validation::TableKind& kind : validation::table_kinds())
    for (const profile::KernelModel& model : kind.kernels) {
      if (model.name != kernel) continue;
      out << "  where\n";
      for (const profile::ParameterSpec& spec : model.parameters)
        out << report::wrap("    " + std::string(spec.name) + ": " + std::string(spec.meaning), 6);
      return;
    }
}

void show(const std::string& name, const std::string& kernel, std::ostream& out) {
  const profile::Profile p = load(name);
  const auto kernels = kernels_of(p);
  if (!kernel.empty() && std::find(kernels.begin(), kernels.end(), kernel) == kernels.end())
    throw base::InputError("--kernel", "", "unknown kernel \"" + kernel + "\"" + base::suggestion(kernel, kernels));
  out << p.name << ": " << p.gpu << (p.ideal ? "" : ", family " + p.family) << "\n";
  if (kernel.empty()) print("GPU and links", gpu_numbers(p), out);
  for (const std::string& k : kernels) {
    if (p.ideal || (!kernel.empty() && k != kernel)) continue;
    const auto parameters = p.kernel(k);
    const bool own = std::any_of(p.kernels.begin(), p.kernels.end(), [&](const auto& c) { return c->kernel == k; });
    constexpr std::array<std::string_view, 3> kFrom{"fitted on this GPU", "fitted on its family",
                                                    "fitted on other families"};
    out << "\n"
        << k << ": " << kFrom[static_cast<std::size_t>(parameters.relation())]
        << (own ? ", in this profile" : ", as shipped") << "; 80 % interval of its times "
        << error_text(std::expm1(parameters.log_error())) << "\n";
    print("parameter", kernel_numbers(p, k), out);
    if (!kernel.empty()) print_meanings(k, out);
  }
}

// Rows of what differs: the distance in units of both half-widths together.
void print_difference(const std::string& title, const std::vector<Number>& a, const std::vector<Number>& b,
                      const std::array<std::string, 2>& names, bool& any, std::ostream& out) {
  std::vector<std::string> keys;
  for (const auto* side : {&a, &b})
    for (const Number& n : *side)
      if (std::find(keys.begin(), keys.end(), n.name) == keys.end()) keys.push_back(n.name);
  report::Table table({title, names[0], names[1], "ratio", "of the interval"});
  bool rows = false;
  const auto find = [](const std::vector<Number>& in, const std::string& key) {
    const auto found = std::find_if(in.begin(), in.end(), [&](const Number& n) { return n.name == key; });
    return found == in.end() ? std::optional<Number>() : std::optional<Number>(*found);
  };
  const auto text = [](const std::optional<Number>& n) {
    return n ? n->value + " (" + std::string(to_string(n->source)) + ")" : std::string("-");
  };
  for (const std::string& key : keys) {
    const auto x = find(a, key), y = find(b, key);
    if (x && y && x->raw == y->raw && x->source == y->source && x->error == y->error) continue;
    rows = true;
    std::string ratio = "-", distance = "-";
    if (x && y && x->raw > 0 && y->raw > 0) {
      ratio = base::format_number(y->raw / x->raw, 3) + "x";
      const double width = std::hypot(std::log1p(x->error), std::log1p(y->error));
      if (width > 0) distance = base::format_number(std::abs(std::log(y->raw / x->raw)) / width, 2) + "x";
    }
    table.add_row({key, text(x), text(y), ratio, distance});
  }
  if (rows) out << (any ? "\n" : "") << table.text();
  any = any || rows;
}

void diff(const std::string& left, const std::string& right, std::ostream& out) {
  const profile::Profile a = load(left), b = load(right);
  const std::array<std::string, 2> names{left, right};
  bool any = false;
  print_difference("GPU and links", gpu_numbers(a), gpu_numbers(b), names, any, out);
  std::vector<std::string> kernels = kernels_of(a);
  for (const std::string& k : kernels_of(b))
    if (std::find(kernels.begin(), kernels.end(), k) == kernels.end()) kernels.push_back(k);
  for (const std::string& k : kernels) print_difference(k, kernel_numbers(a, k), kernel_numbers(b, k), names, any, out);
  if (!any) out << "no number differs\n";
}

}  // namespace

void add_calibrate_show(CLI::App& verb, Context& context) {
  struct Options {
    std::string left, right, kernel;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* shown = verb.add_subcommand("show", "A profile as a table: value, interval, source of every number");
  shown->add_option("PROFILE", options->left, "A shipped profile (h100) or a file that calibrate wrote")->required();
  shown->add_option("--kernel", options->kernel, "This kernel's parameters only");
  shown->footer("Example: moesim calibrate show h100 --kernel deepep_ll_dispatch");
  shown->callback([options, &context] {
    context.action = [options, &context] { show(options->left, options->kernel, context.out); };
  });
  CLI::App* differ = verb.add_subcommand("diff", "What differs between two profiles, side by side");
  differ->add_option("LEFT", options->left, "A shipped profile or a file")->required();
  differ->add_option("RIGHT", options->right, "The same")->required();
  differ->footer("Example: moesim calibrate diff h100 profile.json");
  differ->callback([options, &context] {
    context.action = [options, &context] { diff(options->left, options->right, context.out); };
  });
}

}  // namespace moesim::cli
