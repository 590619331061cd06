#include "report/table.h"

#include <doctest/doctest.h>

namespace moesim::report {

TEST_CASE("a table pads each column to its widest cell, the first to the left, others to the right") {
  Table table({"", "time", "n"});
  table.add_row({"dispatch", "1 us", "12345"});
  table.add_row({"x", "120 us", "1"});
  CHECK(table.text() ==
        "              time      n\n"
        "  dispatch    1 us  12345\n"
        "  x         120 us      1\n");
}

TEST_CASE("wrapping breaks at blanks, indents what follows and keeps the first line's indent") {
  CHECK(wrap("  - alpha beta gamma", 4, 12) == "  - alpha\n    beta\n    gamma\n");
  CHECK(wrap("short", 2) == "short\n");
}

}  // namespace moesim::report
