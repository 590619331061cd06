// How one point is timed: events around the work alone, which is enqueued behind a kernel that blocks until all of it
// is in the stream, so that launch latency does not count; warm-up; cold L2 where asked; samples until the rule is met.
#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>

#include "kernels/harness/device.cuh"

namespace moesim::kernels {

struct Point {
  std::string benchmark, implementation;
  std::map<std::string, double> parameters;
  double bytes = 0, flops = 0;
  bool cold_l2 = false;  // writes over L2 before each sample
  bool blocked = true;   // false for work that itself waits for the host
  int repeats = 1;       // runs of the work per sample (for very short work); times are per run
  // Work that leaves a result: `poison` spoils it, the work is done once, and `right` says whether it is there.
  std::function<void()> poison{};
  std::function<bool()> right{};
};

class Session {
 public:
  Session(Report& report, StoppingRule rule, std::ostream& progress, std::function<void()> save);

  // Times `work(stream)`; nothing if an earlier run of the document holds the point.
  void measure(const Point& point, const std::function<void(cudaStream_t)>& work);
  void skip(const std::string& benchmark, const std::string& reason);
  // Throws std::runtime_error: a kernel that computes something else must not be timed.
  void verify(bool right, const std::string& what) const;

  Report& report() { return *report_; }
  cudaStream_t stream() const { return stream_; }
  int sms() const { return sms_; }
  double l2_bytes() const { return l2_bytes_; }

 private:
  Report* report_;
  StoppingRule rule_;
  std::ostream* progress_;
  std::function<void()> save_;
  Stream stream_;
  Buffer<unsigned char> flush_;
  Buffer<int> gate_;
  int sms_ = 0, device_ = 0;
  double l2_bytes_ = 0;
};

// The benchmarks; each measures what the GPU and its libraries allow and skips the rest by name.
void measure_launch(Session& session);
void measure_hbm(Session& session, bool quick);
void measure_host_copies(Session& session, bool quick);
void measure_peers(Session& session, bool quick);
void measure_gemm(Session& session, bool quick);
void measure_moe(Session& session, bool quick);
void measure_attention(Session& session, bool quick);
void measure_nccl(Session& session, bool quick);

}  // namespace moesim::kernels
