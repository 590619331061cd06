// That long work goes on: one line on a terminal, rewritten every second and removed at the end.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace moesim::cli {

class Progress {
 public:
  // `terminal`: a file descriptor; nothing is written where it is none of a terminal, nor within the first `period`.
  // `what` is done: "running 4 scenarios"; `unit` is what count() counts, "" where nothing is counted.
  Progress(int terminal, std::string what, std::string unit = "",
           std::chrono::milliseconds period = std::chrono::seconds(1));
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void count() { ++done_; }  // from any thread

  // "running 4 scenarios: 12 decode steps, 1 min 5 s".
  static std::string line(const std::string& what, const std::string& unit, std::int64_t done, std::int64_t seconds);

 private:
  void show();

  int terminal_;
  std::string what_, unit_;
  std::chrono::milliseconds period_;
  std::atomic<std::int64_t> done_ = 0;
  bool ended_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace moesim::cli
