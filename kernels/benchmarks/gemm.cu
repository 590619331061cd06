// Matrix products by cuBLASLt: single ones, and one per expert over a distribution of tokens (a loop: cuBLASLt has no
// grouped product). bf16, fp8 (e4m3), and fp4 (e2m1 with block scales) where the library offers it on this GPU.
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <numeric>

#include <cublasLt.h>

#include "kernels/harness/gemm_reference.h"
#include "kernels/harness/measure.cuh"
#include "kernels/harness/sweep.h"

namespace moesim::kernels {
namespace {

constexpr std::size_t kWorkspace = std::size_t{64} << 20;

// Of every byte of the operands' scales. As UE4M3 (blocks of nvfp4) it is 1, as fp32 some small positive number.
constexpr unsigned char kScaleByte = 0x38;

struct Format {
  const char* name;
  cudaDataType_t type;
  NumberFormat numbers;
  double scale;  // of each operand
};
const std::array<Format, 3> kFormats{
    {{"bf16", CUDA_R_16BF, NumberFormat::Bf16, 1},
     {"fp8", CUDA_R_8F_E4M3, NumberFormat::E4m3,
      std::bit_cast<float>(std::array{kScaleByte, kScaleByte, kScaleByte, kScaleByte})},
     {"nvfp4", CUDA_R_4F_E2M1, NumberFormat::E2m1, 1}}};

void lt(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(std::string(call) + " failed with status " + std::to_string(status));
}

// The functions that are used, of the library as it is opened.
struct CublasLt {
  CublasLt() : library({"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}) {
    lt(library.find<decltype(cublasLtCreate)>("cublasLtCreate")(&handle), "cublasLtCreate");
    const std::size_t number = library.find<decltype(cublasLtGetVersion)>("cublasLtGetVersion")();
    version = "cuBLASLt " + std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100);
  }
  ~CublasLt() { library.find<decltype(cublasLtDestroy)>("cublasLtDestroy")(handle); }
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  Library library;
  cublasLtHandle_t handle = nullptr;
  std::string version;
};

// D[m, n] = A[m, k] B[k, n] as cuBLASLt wants it for all formats: both operands with k innermost.
class Product {
 public:
  Product(const CublasLt& library, const Format& format, std::int64_t m, std::int64_t n, std::int64_t k,
          const float* scales)
      : lt_(library) {
    const auto& find = lt_.library;
    lt(find.find<decltype(cublasLtMatmulDescCreate)>("cublasLtMatmulDescCreate")(&operation_, CUBLAS_COMPUTE_32F,
                                                                                 CUDA_R_32F),
       "cublasLtMatmulDescCreate");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    set(CUBLASLT_MATMUL_DESC_TRANSA, transposed);
    if (format.numbers == NumberFormat::E2m1) {
      const cublasLtMatmulMatrixScale_t mode = CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3;
      set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, mode);
      set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, mode);
    }
    if (format.numbers != NumberFormat::Bf16) {
      set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, scales);
      set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, scales);
    }
    // Column-major: the weights [k, n] are A, the activations [k, m] are B, the result [n, m].
    layout(a_, format.type, k, n);
    layout(b_, format.type, k, m);
    layout(d_, CUDA_R_16BF, n, m);
    cublasLtMatmulPreference_t preference = nullptr;
    lt(find.find<decltype(cublasLtMatmulPreferenceCreate)>("cublasLtMatmulPreferenceCreate")(&preference),
       "cublasLtMatmulPreferenceCreate");
    find.find<decltype(cublasLtMatmulPreferenceSetAttribute)>("cublasLtMatmulPreferenceSetAttribute")(
        preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspace, sizeof(kWorkspace));
    int found = 0;
    const auto status = find.find<decltype(cublasLtMatmulAlgoGetHeuristic)>("cublasLtMatmulAlgoGetHeuristic")(
        lt_.handle, operation_, a_, b_, d_, d_, preference, 1, &choice_, &found);
    find.find<decltype(cublasLtMatmulPreferenceDestroy)>("cublasLtMatmulPreferenceDestroy")(preference);
    usable_ = status == CUBLAS_STATUS_SUCCESS && found > 0;
  }
  ~Product() {
    const auto destroy = lt_.library.find<decltype(cublasLtMatrixLayoutDestroy)>("cublasLtMatrixLayoutDestroy");
    for (cublasLtMatrixLayout_t known : {a_, b_, d_})
      if (known != nullptr) destroy(known);
    lt_.library.find<decltype(cublasLtMatmulDescDestroy)>("cublasLtMatmulDescDestroy")(operation_);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  bool usable() const { return usable_; }
  void run(const void* weights, const void* activations, void* result, void* workspace, cudaStream_t stream) const {
    const float one = 1, zero = 0;
    lt(lt_.library.find<decltype(cublasLtMatmul)>("cublasLtMatmul")(lt_.handle, operation_, &one, weights, a_,
                                                                    activations, b_, &zero, result, d_, result, d_,
                                                                    &choice_.algo, workspace, kWorkspace, stream),
       "cublasLtMatmul");
  }

 private:
  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    lt(lt_.library.find<decltype(cublasLtMatmulDescSetAttribute)>("cublasLtMatmulDescSetAttribute")(
           operation_, attribute, &value, sizeof(value)),
       "cublasLtMatmulDescSetAttribute");
  }
  void layout(cublasLtMatrixLayout_t& out, cudaDataType_t type, std::int64_t rows, std::int64_t columns) {
    lt(lt_.library.find<decltype(cublasLtMatrixLayoutCreate)>("cublasLtMatrixLayoutCreate")(
           &out, type, static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns), rows),
       "cublasLtMatrixLayoutCreate");
  }

  const CublasLt& lt_;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t a_ = nullptr, b_ = nullptr, d_ = nullptr;
  cublasLtMatmulHeuristicResult_t choice_{};
  bool usable_ = false;
};

__global__ void count_poison(const std::uint16_t* values, std::size_t count, unsigned long long* found) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x)
    if (values[i] == 0xffff) atomicAdd(found, 1ull);
}

bool all_written(const Buffer<std::uint16_t>& result, std::size_t count) {
  const Buffer<unsigned long long> found(std::vector<unsigned long long>{0});
  count_poison<<<256, 256>>>(result.get(), count, found.get());
  MOESIM_CUDA(cudaGetLastError());
  return found.host().front() == 0;
}

template <class Value>
std::vector<Value> fetch(const Value* from, std::size_t count) {
  std::vector<Value> values(count);
  MOESIM_CUDA(cudaMemcpy(values.data(), from, count * sizeof(Value), cudaMemcpyDeviceToHost));
  return values;
}

// Whether the corners and the middle of result[m, n] = activations[m, k] weights[n, k] are what the host computes.
bool right_product(const Format& format, std::int64_t m, std::int64_t n, std::int64_t k, const unsigned char* weights,
                   const unsigned char* activations, const std::uint16_t* result) {
  for (const auto& [row, column] : {std::pair<std::int64_t, std::int64_t>{0, 0}, {m / 2, n / 2}, {m - 1, n - 1}}) {
    const Dot expected =
        dot(format.numbers, fetch(activations + bytes_of(format.numbers, row * k), bytes_of(format.numbers, k)),
            fetch(weights + bytes_of(format.numbers, column * k), bytes_of(format.numbers, k)), k);
    if (!agrees(fetch(result + row * n + column, 1).front(), expected, format.scale * format.scale)) return false;
  }
  return true;
}

void measure_single(Session& session, const CublasLt& library, const Format& format, bool quick, const float* scales) {
  const std::string benchmark = std::string("gemm_") + format.name;
  bool any = false;
  for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{4096, 7168}, {7168, 2048}, {24576, 1536}}) {
    Buffer<unsigned char> weights(bytes_of(format.numbers, n * k)), workspace(kWorkspace);
    fill_random(weights.get(), weights.bytes(), 11, session.stream());
    for (const std::int64_t m : geometric(16, quick ? 4096 : 16384, quick ? 16 : 4)) {
      const Product product(library, format, m, n, k, scales);
      if (!product.usable()) continue;
      any = true;
      Buffer<unsigned char> activations(bytes_of(format.numbers, m * k));
      Buffer<std::uint16_t> result(static_cast<std::size_t>(m * n));
      fill_random(activations.get(), activations.bytes(), 12, session.stream());
      Point point;
      point.benchmark = benchmark;
      point.implementation = library.version;
      point.parameters = {{"m", static_cast<double>(m)}, {"n", static_cast<double>(n)}, {"k", static_cast<double>(k)}};
      point.flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
      point.cold_l2 = true;
      point.poison = [&] { poison(result.get(), result.bytes()); };
      point.right = [&] {
        return all_written(result, result.size()) &&
               right_product(format, m, n, k, weights.get(), activations.get(), result.get());
      };
      session.measure(point, [&](cudaStream_t s) {
        product.run(weights.get(), activations.get(), result.get(), workspace.get(), s);
      });
    }
  }
  if (!any) session.skip(benchmark, "the library has no product in this format on this GPU");
}

void measure_grouped(Session& session, const CublasLt& library, const Format& format, bool quick, const float* scales) {
  constexpr std::int64_t kExperts = 32, kHidden = 7168, kInter = 2048;
  const std::string benchmark = std::string("grouped_gemm_") + format.name;
  Buffer<unsigned char> weights(bytes_of(format.numbers, kExperts * kHidden * 2 * kInter)), workspace(kWorkspace);
  fill_random(weights.get(), weights.bytes(), 13, session.stream());
  for (const Load load : {Load::Even, Load::PowerLaw, Load::Few}) {
    for (const std::int64_t selections : geometric(64, quick ? 4096 : 16384, quick ? 64 : 16)) {
      const auto tokens = tokens_per_expert(load, selections, kExperts, 1.0);
      Buffer<unsigned char> activations(bytes_of(format.numbers, selections * kHidden));
      Buffer<std::uint16_t> result(static_cast<std::size_t>(selections * 2 * kInter));
      fill_random(activations.get(), activations.bytes(), 14, session.stream());
      std::vector<std::unique_ptr<Product>> products;
      bool usable = true;
      for (const std::int64_t count : tokens) {
        products.push_back(count == 0 ? nullptr
                                      : std::make_unique<Product>(library, format, count, 2 * kInter, kHidden, scales));
        usable = usable && (count == 0 || products.back()->usable());
      }
      if (!usable) {
        session.skip(benchmark, "no product of " + std::to_string(selections) + " selections in this format");
        continue;
      }
      Point point;
      point.benchmark = benchmark;
      point.implementation = library.version + ", one product per expert in a row";
      point.parameters = {{"selections", static_cast<double>(selections)},
                          {"load", static_cast<double>(load)},
                          {"experts", kExperts},
                          {"hidden", kHidden},
                          {"inter", kInter}};
      point.flops = 2.0 * static_cast<double>(selections) * kHidden * 2 * kInter;
      point.cold_l2 = true;
      point.poison = [&] { poison(result.get(), result.bytes()); };
      point.right = [&] {
        bool right = all_written(result, result.size());
        std::int64_t before = 0;
        for (std::size_t e = 0; e < products.size(); before += tokens[e++]) {
          if (products[e] == nullptr) continue;
          right = right && right_product(format, tokens[e], 2 * kInter, kHidden,
                                         weights.get() + bytes_of(format.numbers,
                                                                  static_cast<std::int64_t>(e) * kHidden * 2 * kInter),
                                         activations.get() + bytes_of(format.numbers, before * kHidden),
                                         result.get() + before * 2 * kInter);
        }
        return right;
      };
      session.measure(point, [&](cudaStream_t s) {
        std::int64_t before = 0;
        for (std::size_t e = 0; e < products.size(); ++e) {
          if (products[e] == nullptr) continue;
          products[e]->run(
              weights.get() + bytes_of(format.numbers, static_cast<std::int64_t>(e) * kHidden * 2 * kInter),
              activations.get() + bytes_of(format.numbers, before * kHidden),
              result.get() + static_cast<std::size_t>(before * 2 * kInter), workspace.get(), s);
          before += tokens[e];
        }
      });
    }
  }
}

}  // namespace

void measure_gemm(Session& session, bool quick) {
  std::unique_ptr<CublasLt> library;
  try {
    library = std::make_unique<CublasLt>();
  } catch (const std::runtime_error& error) {
    for (const Format& format : kFormats) {
      session.skip(std::string("gemm_") + format.name, error.what());
      session.skip(std::string("grouped_gemm_") + format.name, error.what());
    }
    return;
  }
  Buffer<unsigned char> scales(std::size_t{64} << 20);  // enough for all blocks of the largest operand
  MOESIM_CUDA(cudaMemsetAsync(scales.get(), kScaleByte, scales.bytes(), session.stream()));
  for (const Format& format : kFormats) {
    try {
      measure_single(session, *library, format, quick, reinterpret_cast<const float*>(scales.get()));
      measure_grouped(session, *library, format, quick, reinterpret_cast<const float*>(scales.get()));
    } catch (const CudaError&) {
      throw;
    } catch (const std::runtime_error& error) {
      session.skip(std::string("gemm_") + format.name, error.what());
    }
  }
}

}  // namespace moesim::kernels
