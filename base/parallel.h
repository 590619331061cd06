// Independent pieces of work on several threads. The result does not depend on how many there are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace moesim::base {

// Runs work(i) for every i in [0, count), each on some thread; `threads` 0 takes as many as there are cores. All of
// them are tried; then the exception of the smallest i that threw is rethrown.
template <class Work>
void parallel_for(std::size_t count, int threads, Work work) {
  if (threads <= 0) threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const std::size_t workers = std::min(count, static_cast<std::size_t>(threads));
  std::vector<std::exception_ptr> failures(count);
  const auto run = [&](std::size_t first) {
    for (std::size_t i = first; i < count; i += workers) {
      try {
        work(i);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  if (workers == 1) run(0);
  if (workers > 1) {
    std::vector<std::jthread> pool;
    for (std::size_t w = 0; w < workers; ++w) pool.emplace_back(run, w);
  }
  for (const auto& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace moesim::base
