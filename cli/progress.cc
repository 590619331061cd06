#include "cli/progress.h"

#include <unistd.h>

namespace moesim::cli {
namespace {

// Not through a stream: SimGrid's child process must find no lock of one taken.
void put(int terminal, const std::string& text) {
  if (write(terminal, text.data(), text.size()) < 0) return;  // it is but decoration
}

}  // namespace

Progress::Progress(int terminal, std::string what, std::string unit, std::chrono::milliseconds period)
    : terminal_(terminal), what_(std::move(what)), unit_(std::move(unit)), period_(period) {
  if (terminal >= 0 && isatty(terminal) == 1) thread_ = std::thread([this] { show(); });
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

std::string Progress::line(const std::string& what, const std::string& unit, std::int64_t done, std::int64_t seconds) {
  std::string text = what + ": ";
  if (!unit.empty()) text += std::to_string(done) + " " + unit + ", ";
  if (seconds >= 60) text += std::to_string(seconds / 60) + " min ";
  return text + std::to_string(seconds % 60) + " s";
}

void Progress::show() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  bool shown = false;
  while (!wake_.wait_for(lock, period_, [&] { return ended_; })) {
    const auto passed = std::chrono::steady_clock::now() - start;
    put(terminal_,
        "\r\x1b[K" + line(what_, unit_, done_, std::chrono::duration_cast<std::chrono::seconds>(passed).count()));
    shown = true;
  }
  if (shown) put(terminal_, "\r\x1b[K");
}

}  // namespace moesim::cli
