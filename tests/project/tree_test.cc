// The rules of source_rules.h, applied to the project itself (tests run in its root).
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/file.h"
#include "tests/project/source_rules.h"

namespace moesim::tests {
namespace {

namespace fs = std::filesystem;

// Files below the project's root, without what git ignores (build folders) and hidden folders but .ci.
std::vector<ProjectFile> project_files() {
  std::vector<ProjectFile> files;
  for (auto entry = fs::recursive_directory_iterator("."); entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string path = entry->path().lexically_relative(".").generic_string();
    const bool skipped = path == "build" || path == ".git" || path.ends_with("__pycache__") ||
                         (path.starts_with('.') && !path.starts_with(".c"));
    if (entry->is_directory() && skipped) entry.disable_recursion_pending();
    if (!entry->is_regular_file() || skipped || entry->file_size() > (4U << 20)) continue;
    files.push_back({path, base::read_file(path)});
  }
  std::sort(files.begin(), files.end(), [](const ProjectFile& a, const ProjectFile& b) { return a.path < b.path; });
  return files;
}

std::string joined(const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) text += "\n  " + problem;
  return text;
}

// Runs a rule on every file.
template <class Rule>
std::string all_problems(const std::vector<ProjectFile>& files, Rule rule) {
  std::string text;
  for (const ProjectFile& file : files) text += joined(rule(file));
  return text;
}

TEST_CASE("the tree's files are found") {
  const auto files = project_files();
  const auto has = [&](const char* path) {
    return std::any_of(files.begin(), files.end(), [&](const ProjectFile& f) { return f.path == path; });
  };
  CHECK(has("base/units.h"));
  CHECK(has("tests/project/tree_test.cc"));
  CHECK(has("CMakeLists.txt"));
}

TEST_CASE("includes are full paths along the arrows of ARCHITECTURE.md") {
  const auto files = project_files();
  std::set<std::string> present;
  for (const ProjectFile& file : files) present.insert(file.path);
  CHECK(all_problems(files, [&](const ProjectFile& f) { return include_problems(f, present); }) == "");
}

TEST_CASE("no source file has more than 500 lines, and headers have their pragma") {
  CHECK(all_problems(project_files(), form_problems) == "");
}

TEST_CASE("no file names an absolute path of one machine") {
  CHECK(all_problems(project_files(), machine_path_problems) == "");
}

TEST_CASE("every source file is named by a CMakeLists.txt") {
  CHECK(joined(unlisted_source_problems(project_files())) == "");
}

TEST_CASE("the README's two commands exist") {
  const std::string readme = base::read_file("README.md");
  for (const char* script : {"scripts/demo", "scripts/test"}) {
    CAPTURE(script);
    CHECK(readme.find(script) != std::string::npos);
    REQUIRE(fs::is_regular_file(script));
    CHECK((fs::status(script).permissions() & fs::perms::owner_exec) != fs::perms::none);
    CHECK(base::read_file(script).starts_with("#!"));
  }
}

}  // namespace
}  // namespace moesim::tests
