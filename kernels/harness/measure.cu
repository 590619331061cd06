#include <chrono>

#include "kernels/harness/measure.cuh"

namespace moesim::kernels {
namespace {

// Holds the stream until the host opens the gate (mapped memory), or for a second at most.
__global__ void wait_for_gate(const volatile int* gate, long long most_cycles) {
  const long long begin = clock64();
  while (*gate == 0 && clock64() - begin < most_cycles) __nanosleep(200);
}

constexpr long long kMostCycles = 2'000'000'000;
constexpr int kWarmUps = 3;

// One int that both sides see.
class Gate {
 public:
  Gate() {
    MOESIM_CUDA(cudaHostAlloc(reinterpret_cast<void**>(&host_), sizeof(int), cudaHostAllocMapped));
    MOESIM_CUDA(cudaHostGetDevicePointer(reinterpret_cast<void**>(&device_), host_, 0));
  }
  ~Gate() { cudaFreeHost(host_); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  void close(cudaStream_t stream) {
    *static_cast<volatile int*>(host_) = 0;
    wait_for_gate<<<1, 1, 0, stream>>>(device_, kMostCycles);
    MOESIM_CUDA(cudaGetLastError());
  }
  void open() { *static_cast<volatile int*>(host_) = 1; }

 private:
  int* host_ = nullptr;
  int* device_ = nullptr;
};

}  // namespace

Session::Session(Report& report, StoppingRule rule, std::ostream& progress, std::function<void()> save)
    : report_(&report), rule_(rule), progress_(&progress), save_(std::move(save)) {
  MOESIM_CUDA(cudaGetDevice(&device_));
  cudaDeviceProp properties{};
  MOESIM_CUDA(cudaGetDeviceProperties(&properties, device_));
  sms_ = properties.multiProcessorCount;
  l2_bytes_ = properties.l2CacheSize;
  flush_ = Buffer<unsigned char>(static_cast<std::size_t>(2 * l2_bytes_) + 4);
}

void Session::measure(const Point& point, const std::function<void(cudaStream_t)>& work) {
  if (report_->has(point.benchmark, point.implementation, point.parameters)) return;
  Measurement measurement;
  measurement.benchmark = point.benchmark;
  measurement.implementation = point.implementation;
  measurement.parameters = point.parameters;
  measurement.bytes = point.bytes;
  measurement.flops = point.flops;
  if (point.right) {
    stream_.wait();  // what fills the operands
    point.poison();
    work(stream_);
    MOESIM_CUDA(cudaGetLastError());
    stream_.wait();
    verify(point.right(), point.benchmark + " by " + point.implementation);
  }
  for (int i = 0; i < kWarmUps; ++i) work(stream_);
  MOESIM_CUDA(cudaGetLastError());  // a launch that was refused would be timed as nothing
  stream_.wait();

  Gate gate;
  Event before, after;
  const auto started = std::chrono::steady_clock::now();
  const auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(); };
  measurement.clock_before_mhz = sm_clock_mhz(device_);
  while (!rule_.done(measurement.samples_us, spent())) {
    if (point.cold_l2) MOESIM_CUDA(cudaMemsetAsync(flush_.get(), 1, flush_.bytes(), stream_));
    if (point.blocked) gate.close(stream_);
    before.record(stream_);
    for (int i = 0; i < point.repeats; ++i) work(stream_);
    after.record(stream_);
    gate.open();
    after.wait();
    measurement.samples_us.push_back(after.since(before) / point.repeats);
  }
  measurement.clock_after_mhz = sm_clock_mhz(device_);

  const Summary summary = summarise(measurement.samples_us);
  *progress_ << point.benchmark;
  for (const auto& [name, value] : point.parameters) *progress_ << " " << name << "=" << value;
  *progress_ << ": " << summary.median << " us";
  if (point.bytes > 0) *progress_ << ", " << point.bytes / summary.median / 1e3 << " GB/s";
  if (point.flops > 0) *progress_ << ", " << point.flops / summary.median / 1e6 << " TFLOP/s";
  if (throttled(measurement.clock_before_mhz, measurement.clock_after_mhz)) *progress_ << " (the clock fell)";
  *progress_ << "\n" << std::flush;
  report_->add(std::move(measurement));
  save_();
}

void Session::skip(const std::string& benchmark, const std::string& reason) {
  *progress_ << benchmark << ": skipped, " << reason << "\n" << std::flush;
  report_->skip(benchmark, reason);
}

void Session::verify(bool right, const std::string& what) const {
  if (!right) throw std::runtime_error(what + " computes something else than its reference: nothing of it is timed");
}

}  // namespace moesim::kernels
