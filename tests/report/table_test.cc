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

TEST_CASE("columns that do not fit go below, with the first one again") {
  Table table({"", "a", "bb", "ccc"});
  table.add_row({"row", "1", "22", "333"});
  CHECK(table.text(12) ==
        "       a  bb\n"
        "  row  1  22\n"
        "\n"
        "       ccc\n"
        "  row  333\n");
  CHECK(table.text(1) ==
        "       a\n"
        "  row  1\n"
        "\n"
        "       bb\n"
        "  row  22\n"
        "\n"
        "       ccc\n"
        "  row  333\n");
  CHECK(Table({"alone"}).text(3) == "  alone\n");
}

TEST_CASE("wrapping breaks at blanks, indents what follows and keeps the first line's indent") {
  CHECK(wrap("  - alpha beta gamma", 4, 12) == "  - alpha\n    beta\n    gamma\n");
  CHECK(wrap("short", 2) == "short\n");
  CHECK(wrap("load of 50 % each", 0, 11) == "load of\n50 % each\n");  // a number keeps its "%"
}

}  // namespace moesim::report
