#include "calibration/fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <Eigen/Dense>
#include <unsupported/Eigen/LevenbergMarquardt>

#include "base/parallel.h"
#include "base/statistics.h"

namespace moesim::calibration {
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;

constexpr double kQuantile90 = 1.2815515655446004;  // of the standard normal distribution
constexpr double kNoPriorSigma = 100;               // of log(value): keeps the Hessian regular
constexpr double kShift = 3.141592653589793;        // of u, away from 0: the solver's first step is relative to u
constexpr double kStep = 1e-5;                      // of numeric derivatives, in log(value)

class Problem {
 public:
  Problem(std::span<const Unknown> unknowns, std::span<const Measured> measured, const Predict& predict,
          const FitOptions& options)
      : unknowns_(unknowns), measured_(measured), predict_(predict), options_(options), all_(measured.size()) {
    std::iota(all_.begin(), all_.end(), std::size_t{0});
    for (std::size_t j = 0; j < unknowns.size(); ++j)
      if (!unknowns[j].fixed) free_.push_back(j);
  }

  std::size_t inputs() const { return free_.size(); }
  std::size_t residuals() const { return measured_.size() + free_.size(); }
  const std::vector<std::size_t>& free() const { return free_; }

  Vector start() const {
    Vector u(static_cast<Eigen::Index>(free_.size()));
    for (std::size_t f = 0; f < free_.size(); ++f) {
      const Unknown& unknown = unknowns_[free_[f]];
      const double low = std::log(unknown.lower), high = std::log(unknown.upper);
      u[static_cast<Eigen::Index>(f)] =
          kShift + std::asin(std::clamp(2 * (std::log(unknown.start) - low) / (high - low) - 1, -0.999, 0.999));
    }
    return u;
  }

  // log v, of the free unknowns.
  Vector logs(const Vector& u) const {
    Vector x(u.size());
    for (std::size_t f = 0; f < free_.size(); ++f) {
      const Unknown& unknown = unknowns_[free_[f]];
      const double low = std::log(unknown.lower), high = std::log(unknown.upper);
      x[static_cast<Eigen::Index>(f)] =
          low + (high - low) * (1 + std::sin(u[static_cast<Eigen::Index>(f)] - kShift)) / 2;
    }
    return x;
  }
  double dlog_du(std::size_t f, double u) const {
    const Unknown& unknown = unknowns_[free_[f]];
    return std::log(unknown.upper / unknown.lower) / 2 * std::cos(u - kShift);
  }

  std::vector<double> values(const Vector& x) const {
    std::vector<double> v(unknowns_.size());
    for (std::size_t j = 0; j < v.size(); ++j) v[j] = unknowns_[j].start;
    for (std::size_t f = 0; f < free_.size(); ++f) v[free_[f]] = std::exp(x[static_cast<Eigen::Index>(f)]);
    return v;
  }

  // log(predicted / measured) of the given rows.
  std::vector<double> errors(const std::vector<double>& v, std::span<const std::size_t> rows) const {
    std::vector<double> e(rows.size());
    predict_(v, rows, e);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      MOESIM_CHECK(e[i] > 0 && std::isfinite(e[i]), "a predicted time is not positive and finite");
      e[i] = std::log(e[i] / measured_[rows[i]].value);
    }
    return e;
  }
  std::vector<double> errors(const Vector& x) const {
    constexpr std::size_t kChunk = 2048;
    const std::vector<double> v = values(x);
    std::vector<double> e(all_.size());
    base::parallel_for((all_.size() + kChunk - 1) / kChunk, options_.threads, [&](std::size_t c) {
      const std::size_t begin = c * kChunk, count = std::min(kChunk, all_.size() - begin);
      const auto part = errors(v, std::span(all_).subspan(begin, count));
      std::copy(part.begin(), part.end(), e.begin() + static_cast<std::ptrdiff_t>(begin));
    });
    return e;
  }

  // d e / d log v, [rows, free].
  Matrix jacobian(const Vector& x, const std::vector<double>& e) const {
    Matrix j = Matrix::Zero(static_cast<Eigen::Index>(all_.size()), x.size());
    base::parallel_for(free_.size(), options_.threads, [&](std::size_t f) {
      const auto column = static_cast<Eigen::Index>(f);
      Vector moved = x;
      moved[column] += kStep;
      const std::vector<std::size_t>& own = unknowns_[free_[f]].rows;
      const std::span<const std::size_t> rows = own.empty() ? std::span<const std::size_t>(all_) : std::span(own);
      const auto shifted = errors(values(moved), rows);
      for (std::size_t i = 0; i < rows.size(); ++i)
        j(static_cast<Eigen::Index>(rows[i]), column) = (shifted[i] - e[rows[i]]) / kStep;
    });
    return j;
  }

  // The residual whose square is twice the soft-L1 loss, and its derivative by e. Smooth at 0.
  std::pair<double, double> softened(double e) const {
    const double root = std::sqrt(1 + e / options_.scale * (e / options_.scale));
    const double r = std::copysign(std::sqrt(2 * (root - 1)), e);
    // r^2 / 2 = root - 1, so r r' = e / (s^2 root).
    const double slope = std::abs(r) < 1e-9 ? 1 / options_.scale : e / (options_.scale * options_.scale * root * r);
    return {r, slope};
  }

  double prior_sigma(std::size_t f) const {
    const double sigma = unknowns_[free_[f]].prior_sigma;
    return sigma > 0 ? sigma : kNoPriorSigma;
  }
  bool has_prior(std::size_t f) const { return unknowns_[free_[f]].prior_sigma > 0; }
  double prior_residual(std::size_t f, double log_value) const {
    return has_prior(f) ? (log_value - std::log(unknowns_[free_[f]].start)) / prior_sigma(f) : 0;
  }
  double weight(std::size_t row) const { return measured_[row].weight; }
  double scale() const { return options_.scale; }

 private:
  std::span<const Unknown> unknowns_;
  std::span<const Measured> measured_;
  const Predict& predict_;
  const FitOptions& options_;
  std::vector<std::size_t> all_;
  std::vector<std::size_t> free_;
};

// What Eigen's solver asks for, in the bounded coordinates u.
struct Functor : Eigen::DenseFunctor<double> {
  explicit Functor(const Problem& p)
      : DenseFunctor(static_cast<int>(p.inputs()), static_cast<int>(p.residuals())), problem(&p) {}

  int operator()(const Vector& u, Vector& residual) const {
    const Vector x = problem->logs(u);
    last_u = u;
    last_errors = problem->errors(x);
    const std::size_t rows = last_errors.size();
    for (std::size_t i = 0; i < rows; ++i)
      residual[static_cast<Eigen::Index>(i)] = std::sqrt(problem->weight(i)) * problem->softened(last_errors[i]).first;
    for (std::size_t f = 0; f < problem->inputs(); ++f)
      residual[static_cast<Eigen::Index>(rows + f)] = problem->prior_residual(f, x[static_cast<Eigen::Index>(f)]);
    return 0;
  }
  int df(const Vector& u, Matrix& jacobian) const {
    const Vector x = problem->logs(u);
    if (last_u.size() != u.size() || last_u != u) last_errors = problem->errors(x);
    last_u = u;
    const Matrix by_log = problem->jacobian(x, last_errors);
    jacobian.setZero();
    for (std::size_t f = 0; f < problem->inputs(); ++f) {
      const auto column = static_cast<Eigen::Index>(f);
      const double chain = problem->dlog_du(f, u[column]);
      for (std::size_t i = 0; i < last_errors.size(); ++i) {
        const auto row = static_cast<Eigen::Index>(i);
        jacobian(row, column) =
            std::sqrt(problem->weight(i)) * problem->softened(last_errors[i]).second * by_log(row, column) * chain;
      }
      jacobian(static_cast<Eigen::Index>(last_errors.size() + f), column) =
          problem->has_prior(f) ? chain / problem->prior_sigma(f) : 0;
    }
    return 0;
  }

  const Problem* problem;
  mutable Vector last_u;
  mutable std::vector<double> last_errors;
};

void check(std::span<const Unknown> unknowns, std::span<const Measured> measured) {
  for (const Unknown& unknown : unknowns) {
    MOESIM_CHECK(0 < unknown.lower && unknown.lower < unknown.start && unknown.start < unknown.upper,
                 "bounds of the parameter " + unknown.name + " do not enclose its start");
  }
  std::size_t used = 0;
  for (const Measured& m : measured) {
    if (!(m.value > 0) || !std::isfinite(m.value))
      throw base::InputError("", "", "a measured time of " + std::to_string(m.value), "positive and finite times");
    if (m.weight > 0) ++used;
  }
  if (used == 0) throw base::InputError("", "", "no row to fit");
}

}  // namespace

UnidentifiedError::UnidentifiedError(std::vector<std::string> names)
    : InputError("", "",
                 "the data cannot identify " + std::accumulate(names.begin(), names.end(), std::string(),
                                                               [](const std::string& a, const std::string& b) {
                                                                 return a.empty() ? b : a + ", " + b;
                                                               }),
                 "rows that depend on it, a prior, or the parameter held fixed"),
      names_(std::move(names)) {}

namespace {

FitResult fit_all_rows(std::span<const Unknown> unknowns, std::span<const Measured> measured, const Predict& predict,
                       const FitOptions& options) {
  const Problem problem(unknowns, measured, predict, options);
  FitResult result;
  Vector u = problem.start();
  if (problem.inputs() > 0) {
    Functor functor(problem);
    Eigen::LevenbergMarquardt<Functor> solver(functor);
    solver.setFactor(0.1);
    solver.setXtol(1e-7);
    solver.setFtol(1e-9);
    auto status = solver.minimizeInit(u);
    while (status != Eigen::LevenbergMarquardtSpace::ImproperInputParameters &&
           result.iterations < options.iterations) {
      status = solver.minimizeOneStep(u);
      ++result.iterations;
      if (status != Eigen::LevenbergMarquardtSpace::Running) break;
    }
    result.converged = status != Eigen::LevenbergMarquardtSpace::Running &&
                       status != Eigen::LevenbergMarquardtSpace::ImproperInputParameters;
  } else {
    result.converged = true;
  }

  const Vector x = problem.logs(u);
  result.log_errors = problem.errors(x);
  const Matrix j = problem.jacobian(x, result.log_errors);
  const double s2 = problem.scale() * problem.scale();
  Matrix hessian = Matrix::Zero(x.size(), x.size()), scores = Matrix::Zero(x.size(), x.size());
  Vector curvature(j.rows()), score2(j.rows());
  for (std::size_t i = 0; i < result.log_errors.size(); ++i) {
    const double e = result.log_errors[i], w = problem.weight(i), root = std::sqrt(1 + e * e / s2);
    curvature[static_cast<Eigen::Index>(i)] = w / (s2 * root * root * root);
    score2[static_cast<Eigen::Index>(i)] = w * w * e * e / (s2 * s2 * root * root);
    result.cost += 2 * w * (root - 1);
  }
  hessian += j.transpose() * curvature.asDiagonal() * j;
  scores += j.transpose() * score2.asDiagonal() * j;
  for (std::size_t f = 0; f < problem.inputs(); ++f) {
    const auto c = static_cast<Eigen::Index>(f);
    const double precision = 1 / (problem.prior_sigma(f) * problem.prior_sigma(f));
    hessian(c, c) += precision;
    scores(c, c) += precision;
    result.cost += std::pow(problem.prior_residual(f, x[c]), 2);
  }
  const Matrix inverse = hessian.ldlt().solve(Matrix::Identity(x.size(), x.size()));
  const Matrix covariance = inverse * scores * inverse;

  const std::vector<double> values = problem.values(x);
  result.values.resize(unknowns.size());
  for (std::size_t k = 0; k < unknowns.size(); ++k)
    result.values[k] = {values[k], 0, values[k], values[k], false, true};
  std::vector<std::string> unidentified;
  for (std::size_t f = 0; f < problem.inputs(); ++f) {
    const auto c = static_cast<Eigen::Index>(f);
    const Unknown& unknown = unknowns[problem.free()[f]];
    FittedValue& value = result.values[problem.free()[f]];
    value.log_sd = std::sqrt(std::max(covariance(c, c), 0.0));
    value.lower = value.value * std::exp(-kQuantile90 * value.log_sd);
    value.upper = value.value * std::exp(kQuantile90 * value.log_sd);
    const double margin = 0.01 * std::log(unknown.upper / unknown.lower);
    value.at_bound = x[c] - std::log(unknown.lower) < margin || std::log(unknown.upper) - x[c] < margin;
    const double sd = std::sqrt(std::max({inverse(c, c), covariance(c, c), 0.0}));
    value.identified = sd < (unknown.prior_sigma > 0 ? 0.7 * unknown.prior_sigma : 0.5);
    if (!value.identified) unidentified.push_back(unknown.name);
  }
  if (options.refuse && !unidentified.empty()) throw UnidentifiedError(std::move(unidentified));
  return result;
}

}  // namespace

FitResult fit(std::span<const Unknown> unknowns, std::span<const Measured> measured, const Predict& predict,
              const FitOptions& options) {
  check(unknowns, measured);
  // Rows without weight are predicted once, at the end.
  std::vector<std::size_t> used, place(measured.size(), measured.size());
  std::vector<Measured> weighted;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    if (!(measured[i].weight > 0)) continue;
    place[i] = used.size();
    used.push_back(i);
    weighted.push_back(measured[i]);
  }
  if (used.size() == measured.size()) return fit_all_rows(unknowns, measured, predict, options);
  std::vector<Unknown> own(unknowns.begin(), unknowns.end());
  for (Unknown& unknown : own) {
    std::vector<std::size_t> rows;
    for (const std::size_t row : unknown.rows)
      if (place[row] < measured.size()) rows.push_back(place[row]);
    unknown.rows = std::move(rows);
  }
  const auto predict_used = [&](std::span<const double> values, std::span<const std::size_t> rows,
                                std::span<double> predicted) {
    std::vector<std::size_t> original(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) original[i] = used[rows[i]];
    predict(values, original, predicted);
  };
  FitResult result = fit_all_rows(own, weighted, predict_used, options);
  std::vector<double> values;
  for (const FittedValue& value : result.values) values.push_back(value.value);
  std::vector<std::size_t> all(measured.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  result.log_errors.resize(all.size());
  predict(values, all, result.log_errors);
  for (const std::size_t i : all) result.log_errors[i] = std::log(result.log_errors[i] / measured[i].value);
  return result;
}

std::vector<ResidualBin> residuals_by_size(std::span<const double> log_errors, std::span<const double> sizes,
                                           std::size_t bins) {
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return sizes[a] < sizes[b]; });
  std::vector<ResidualBin> result;
  for (std::size_t b = 0; b < bins; ++b) {
    const std::size_t begin = order.size() * b / bins, end = order.size() * (b + 1) / bins;
    if (begin == end) continue;
    std::vector<double> signed_errors, absolute;
    for (std::size_t i = begin; i < end; ++i) {
      signed_errors.push_back(log_errors[order[i]]);
      absolute.push_back(std::abs(log_errors[order[i]]));
    }
    result.push_back({sizes[order[begin]], sizes[order[end - 1]], end - begin, base::quantile(absolute, 0.5),
                      base::quantile(absolute, 0.9), base::quantile(signed_errors, 0.5)});
  }
  return result;
}

}  // namespace moesim::calibration
