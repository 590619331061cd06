// CUDA calls that are checked, and owners of what CUDA hands out.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <cuda_runtime.h>

#include "kernels/harness/report.h"

namespace moesim::kernels {

class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t code, const char* call, const char* file, int line);
};
inline void check(cudaError_t code, const char* call, const char* file, int line) {
  if (code != cudaSuccess) throw CudaError(code, call, file, line);
}
#define MOESIM_CUDA(call) ::moesim::kernels::check((call), #call, __FILE__, __LINE__)

// Device memory; move-only.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t count) : count_(count) {
    if (count > 0) MOESIM_CUDA(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)));
  }
  explicit Buffer(const std::vector<T>& host) : Buffer(host.size()) {
    if (count_ > 0) MOESIM_CUDA(cudaMemcpy(data_, host.data(), bytes(), cudaMemcpyHostToDevice));
  }
  ~Buffer() {
    if (data_ != nullptr) cudaFree(data_);
  }
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  T* get() const { return data_; }
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(T); }
  std::vector<T> host() const {
    std::vector<T> copy(count_);
    if (count_ > 0) MOESIM_CUDA(cudaMemcpy(copy.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    return copy;
  }

 private:
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

class Stream {
 public:
  Stream() { MOESIM_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }  // NOLINT: stands for the handle in every CUDA call
  void wait() const { MOESIM_CUDA(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() { MOESIM_CUDA(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(cudaStream_t stream) { MOESIM_CUDA(cudaEventRecord(event_, stream)); }
  void wait() const { MOESIM_CUDA(cudaEventSynchronize(event_)); }
  // Microseconds from an earlier one.
  double since(const Event& earlier) const;

 private:
  cudaEvent_t event_ = nullptr;
};

// Fills with a pattern of random bits that compresses to nothing and is a finite bf16, fp16, fp8 or fp32 number.
void fill_random(void* data, std::size_t bytes, unsigned seed, cudaStream_t stream);

// Sets all bits: not a number in any format. On the GPU that owns the memory, at once.
void poison(void* data, std::size_t bytes);
// Whether two places, on any GPU or the host, hold the same, by their first and last 64 KiB.
bool same_ends(const void* a, const void* b, std::size_t bytes);

// The current SM clock in MHz by NVML, 0 where it is not there; nothing is set.
double sm_clock_mhz(int device);
Machine describe_machine(const std::string& command);

// A shared library that is opened when the program runs. Throws std::runtime_error with the reason.
class Library {
 public:
  explicit Library(const std::vector<std::string>& names);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(address(name));
  }

 private:
  void* address(const char* name) const;
  void* handle_ = nullptr;
};

}  // namespace moesim::kernels
