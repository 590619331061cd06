// Tables of text for a terminal: columns padded to their widest cell.
#pragma once

#include <string>
#include <vector>

namespace moesim::report {

class Table {
 public:
  // The first column is aligned left, the others right.
  explicit Table(std::vector<std::string> header);
  void add_row(std::vector<std::string> cells);  // as many as the header
  // Every line indented by two blanks, ends in a newline. Columns beyond `width` characters follow in further tables
  // below, each with the first column.
  std::string text(std::size_t width = std::string::npos) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Lines of at most `width` characters, broken at blanks; the second and later lines start with `indent` blanks.
std::string wrap(const std::string& text, std::size_t indent, std::size_t width = 118);
// A title and an item a line, wrapped; nothing without items.
std::string list(const std::string& title, const std::vector<std::string>& items);

}  // namespace moesim::report
