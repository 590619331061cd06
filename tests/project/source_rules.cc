#include "tests/project/source_rules.h"

#include <algorithm>
#include <array>
#include <map>
#include <regex>
#include <span>
#include <sstream>

namespace moesim::tests {
namespace {

// One row of ARCHITECTURE.md's table. "May include" is transitive; a folder may always include itself.
struct Row {
  std::string_view folder;
  std::vector<std::string_view> may_include;
};

const std::vector<Row>& table() {
  static const std::vector<Row> rows{
      {"base", {}},
      {"topology", {"base"}},
      {"workloads", {"base"}},
      {"calibration/profile", {"base"}},
      {"calibration", {"base", "calibration/profile"}},
      {"kernels", {}},
      {"results", {"base"}},
      {"sim/engine", {"base", "topology", "results"}},
      {"sim/lowering", {"sim/engine", "workloads", "calibration/profile"}},
      {"sim/step", {"sim/lowering"}},
      {"sim/serving", {"sim/step"}},
      {"sim", {"sim/step", "sim/serving"}},
      {"validation", {"sim", "calibration"}},
      {"planning", {"sim", "validation"}},
      {"report", {"base", "results"}},
      {"cli", {"planning", "validation", "report", "sim", "calibration", "topology"}},
      {"tests", {"cli", "kernels"}},
      {"benchmarks", {"cli", "tests"}},
  };
  return rows;
}

// The row whose folder holds `path`, the innermost one; null if none does.
const Row* row_of(std::string_view path) {
  const Row* best = nullptr;
  for (const Row& row : table()) {
    const bool holds = path.starts_with(row.folder) && path.substr(row.folder.size()).starts_with('/');
    if (holds && (best == nullptr || row.folder.size() > best->folder.size())) best = &row;
  }
  return best;
}

bool reaches(std::string_view from, std::string_view to) {
  if (from == to) return true;
  const auto row = std::find_if(table().begin(), table().end(), [&](const Row& r) { return r.folder == from; });
  return row != table().end() && std::any_of(row->may_include.begin(), row->may_include.end(),
                                             [&](std::string_view next) { return reaches(next, to); });
}

// Libraries that one target keeps to itself (tests and benchmarks may look inside).
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kPrivateLibraries{{
    {"simgrid/", "sim/engine"},
    {"sqlite3.h", "planning"},
    {"cuda", "kernels"},
    {"nccl.h", "kernels"},
    {"cublas", "kernels"},
}};

std::string at(const ProjectFile& file, std::size_t line) { return file.path + ":" + std::to_string(line) + ": "; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool has_extension(std::string_view path, std::initializer_list<std::string_view> extensions) {
  return std::any_of(extensions.begin(), extensions.end(), [&](std::string_view e) { return path.ends_with(e); });
}

std::string folder_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? "" : path.substr(0, slash));
}

// What is wrong with `#include "included"`; empty if nothing is.
std::string quoted_include_problem(const ProjectFile& file, const std::string& included,
                                   const std::set<std::string>& present) {
  if (!present.contains(included)) return "\"" + included + "\" is not the full path of a file of the project";
  const Row* const from = row_of(file.path);
  const Row* const to = row_of(included);
  if (from == nullptr || to == nullptr) return "\"" + included + "\": a folder that the table of arrows does not know";
  if (reaches(from->folder, to->folder)) return "";
  return std::string(from->folder) + "/ may not include " + std::string(to->folder) + "/ (\"" + included + "\")";
}

std::string angled_include_problem(const ProjectFile& file, const std::string& included,
                                   const std::set<std::string>& present) {
  if (present.contains(included)) return "<" + included + "> is the project's own: include it in quotes";
  const Row* const from = row_of(file.path);
  if (from != nullptr && (from->folder == "tests" || from->folder == "benchmarks")) return "";
  for (const auto& [library, home] : kPrivateLibraries) {
    if (included.starts_with(library) && (from == nullptr || from->folder != home))
      return "<" + included + "> is private to " + std::string(home) + "/";
  }
  return "";
}

}  // namespace

bool is_source(std::string_view path) { return has_extension(path, {".cc", ".h", ".cu", ".cuh", ".py"}); }

std::vector<std::string> include_problems(const ProjectFile& file, const std::set<std::string>& present) {
  static const std::regex include(R"(^\s*#\s*include\s*(["<])([^">]+)[">])");
  std::vector<std::string> problems;
  if (!has_extension(file.path, {".cc", ".h", ".cu", ".cuh"})) return problems;
  std::size_t number = 0;
  for (const std::string& line : lines_of(file.text)) {
    ++number;
    std::smatch match;
    if (!std::regex_search(line, match, include)) continue;
    const std::string problem = match[1] == "\"" ? quoted_include_problem(file, match[2], present)
                                                 : angled_include_problem(file, match[2], present);
    if (!problem.empty()) problems.push_back(at(file, number) + problem);
  }
  return problems;
}

std::vector<std::string> form_problems(const ProjectFile& file) {
  constexpr std::size_t kMost = 500;
  std::vector<std::string> problems;
  if (!is_source(file.path)) return problems;
  const std::vector<std::string> lines = lines_of(file.text);
  if (lines.size() > kMost)
    problems.push_back(at(file, kMost + 1) + std::to_string(lines.size()) + " lines, at most 500 are allowed");
  const bool header = has_extension(file.path, {".h", ".cuh"});
  if (header && std::find(lines.begin(), lines.end(), "#pragma once") == lines.end())
    problems.push_back(at(file, 1) + "a header without #pragma once");
  return problems;
}

std::vector<std::string> machine_path_problems(const ProjectFile& file) {
  static const std::regex absolute(R"((^|[^A-Za-z0-9_.])/(home|root|work|mnt|Users)/[A-Za-z0-9])");
  std::vector<std::string> problems;
  std::size_t number = 0;
  for (const std::string& line : lines_of(file.text)) {
    ++number;
    if (line.size() < 2000 && std::regex_search(line, absolute))
      problems.push_back(at(file, number) + "an absolute path of one machine");
  }
  return problems;
}

std::vector<std::string> unlisted_source_problems(const std::vector<ProjectFile>& files) {
  std::map<std::string, std::string> lists;  // folder -> text of its CMakeLists.txt
  for (const ProjectFile& file : files) {
    if (file.path == "CMakeLists.txt" || file.path.ends_with("/CMakeLists.txt"))
      lists[folder_of(file.path)] = file.text;
  }
  const auto names = [&](const std::string& folder, const std::string& name) {
    const auto list = lists.find(folder);
    if (list == lists.end()) return false;
    const std::regex whole("(^|[\\s(\"/;])" + std::regex_replace(name, std::regex(R"([.+])"), R"(\$&)") +
                           "($|[\\s)\";])");
    return std::regex_search(list->second, whole);
  };
  std::vector<std::string> problems;
  for (const ProjectFile& file : files) {
    if (!has_extension(file.path, {".cc", ".cu"})) continue;
    std::string folder = folder_of(file.path);
    bool listed = names(folder, file.path.substr(folder.empty() ? 0 : folder.size() + 1));
    while (!listed && !folder.empty()) {
      folder = folder_of(folder);
      listed = names(folder, file.path.substr(folder.empty() ? 0 : folder.size() + 1));
    }
    if (!listed) problems.push_back(file.path + ": named by no CMakeLists.txt, so never built");
  }
  return problems;
}

}  // namespace moesim::tests
