// The project's rules for its own files: who may include whom (ARCHITECTURE.md), how long a file may be, what no file
// may name. Pure functions of paths and texts, so that made-up files can break each rule.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace moesim::tests {

struct ProjectFile {
  std::string path;  // from the project's root, with '/'
  std::string text;
};

bool is_source(std::string_view path);  // .cc .h .cu .cuh .py

// Each returns one "path:line: what is wrong" per finding.

// Quoted includes: full paths of files in `present`, along an arrow of ARCHITECTURE.md's table. Angled includes: none
// of ours, and libraries that are private to one folder only there.
std::vector<std::string> include_problems(const ProjectFile& file, const std::set<std::string>& present);
// No source file of more than 500 lines; headers start with #pragma once.
std::vector<std::string> form_problems(const ProjectFile& file);
// No absolute path of somebody's machine.
std::vector<std::string> machine_path_problems(const ProjectFile& file);
// A .cc or .cu file that no CMakeLists.txt of its folder or a folder above names is never built or run.
std::vector<std::string> unlisted_source_problems(const std::vector<ProjectFile>& files);

}  // namespace moesim::tests
