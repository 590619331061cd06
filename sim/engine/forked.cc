#include "sim/engine/forked.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

namespace moesim::engine {
namespace {

constexpr int kReturned = 0, kThrew = 10;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

[[noreturn]] void fail(const std::string& what) { throw base::InternalError(what + ": " + std::strerror(errno)); }

void write_all(int fd, const std::string& bytes) {
  for (std::size_t written = 0; written < bytes.size();) {
    const ssize_t n = ::write(fd, bytes.data() + written, bytes.size() - written);
    if (n < 0 && errno != EINTR) return;
    if (n > 0) written += static_cast<std::size_t>(n);
  }
}

std::string read_all(int fd) {
  std::string bytes;
  std::array<char, 1 << 16> buffer;
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n == 0) return bytes;
    if (n < 0 && errno != EINTR) fail("reading from a forked process");
    if (n > 0) bytes.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

[[noreturn]] void run_copy(const std::function<std::string()>& work, int result, int printed) {
  // A test framework's or a program's handlers are not for the copy; and it does not outlive its parent.
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM, SIGINT, SIGPIPE})
    ::signal(signal, SIG_DFL);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::dup2(printed, STDOUT_FILENO);
  ::dup2(printed, STDERR_FILENO);
  int status = kReturned;
  try {
    write_all(result, work());
  } catch (const std::exception& error) {
    write_all(result, error.what());
    status = kThrew;
  }
  ::_exit(status);
}

// The end of what a copy printed, on one line.
std::string tail(int fd) {
  constexpr off_t kLongest = 600;
  const off_t size = ::lseek(fd, 0, SEEK_END);
  if (size > 0) ::lseek(fd, size > kLongest ? size - kLongest : 0, SEEK_SET);
  std::string text = size > 0 ? read_all(fd) : "";
  for (char& c : text)
    if (c == '\n') c = ' ';
  return text.empty() ? "" : "; it printed: " + text;
}

}  // namespace

std::string run_forked(const std::function<std::string()>& work) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe");
  Descriptor reading(ends[0]), writing(ends[1]);
  const Descriptor printed(::memfd_create("printed", MFD_CLOEXEC));
  if (printed.get() < 0) fail("memfd_create");
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) run_copy(work, writing.get(), printed.get());
  writing.close();
  std::string bytes = read_all(reading.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) fail("waiting for a forked process");
  if (WIFEXITED(status) && WEXITSTATUS(status) == kReturned) return bytes;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kThrew) throw base::InternalError(bytes + tail(printed.get()));
  const std::string end = WIFSIGNALED(status) ? "was killed by signal " + std::to_string(WTERMSIG(status)) + " (" +
                                                    strsignal(WTERMSIG(status)) + ")"
                                              : "exited with status " + std::to_string(WEXITSTATUS(status));
  throw base::InternalError("the forked process " + end + tail(printed.get()));
}

}  // namespace moesim::engine
