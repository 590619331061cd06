#include "sim/engine/forked.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include <doctest/doctest.h>
#include <unistd.h>

#include "base/error.h"

namespace moesim::tests {
namespace {

using engine::run_forked;

TEST_CASE("A forked function returns its bytes, however many, and leaves no trace here") {
  int touched = 0;
  const std::string large(std::size_t{3} << 20, '\0');
  CHECK(run_forked([&] {
          touched = 1;
          return large + "end";
        }) == large + "end");
  CHECK(touched == 0);
  CHECK(run_forked([] { return std::string(); }).empty());
}

TEST_CASE("An exception in a forked function is an internal error with its text") {
  CHECK_THROWS_WITH_AS(run_forked([]() -> std::string { throw std::runtime_error("no such link"); }), "no such link",
                       base::InternalError);
}

TEST_CASE("A forked function that dies is an internal error with the reason and what it printed last") {
  CHECK_THROWS_WITH_AS(run_forked([]() -> std::string {
                         std::fputs("first line\nlast words\n", stderr);
                         std::raise(SIGKILL);
                         return "";
                       }),
                       doctest::Contains("killed by signal 9"), base::InternalError);
  CHECK_THROWS_WITH_AS(run_forked([]() -> std::string {
                         std::fputs("first line\nlast words\n", stderr);
                         std::abort();
                       }),
                       doctest::Contains("it printed: first line last words"), base::InternalError);
  CHECK_THROWS_WITH_AS(run_forked([]() -> std::string { _exit(3); }), doctest::Contains("exited with status 3"),
                       base::InternalError);
}

TEST_CASE("Functions can be forked from several threads at once") {
  std::vector<std::string> results(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < results.size(); ++i)
    threads.emplace_back([&results, i] { results[i] = run_forked([i] { return std::string(1 << 18, "abcd"[i]); }); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < results.size(); ++i) CHECK(results[i] == std::string(1 << 18, "abcd"[i]));
}

}  // namespace
}  // namespace moesim::tests
