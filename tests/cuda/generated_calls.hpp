// Calls of generated kernels on the host, and what they must have computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/host_kernels.hpp"

namespace lockstep::testing {

struct GeneratedCase {
  cuda::KernelRequest request;
  cuda::Kernel kernel;
};

/// Every algorithm in a world, once in each way that its text can differ; types and reductions are
/// elements_test's affair, so they only take turns.
std::vector<GeneratedCase> generatedCases(int world, Mode mode);
/// Premultiplied sums of every algorithm that has them.
std::vector<GeneratedCase> premultipliedCases(int world, Mode mode);
/// Those whose buffers are apart.
std::vector<GeneratedCase> casesApart(int world, Mode mode);
/// Their kernels, and in sealed modes that of keys.
HostModule compileCases(std::span<const GeneratedCase> cases, const HostBuild& build);

/// One call of every rank: buffers in the heaps, what they hold and what they must hold afterwards.
class GeneratedCall {
 public:
  /// Buffers begin `shift` elements after the beginning of the heap, or of its second half.
  GeneratedCall(const GeneratedCase& c, HostWorld& world, std::size_t count, std::size_t shift,
                int root, std::uint64_t seed);

  /// What every rank is told. Change it at will before run().
  HostWorld::Shape shape;
  /// Ranks that make the call: bit by rank.
  std::uint64_t present = ~std::uint64_t{0};
  /// Block after block, where none waits for another.
  bool inTurn = false;

  void run(const HostModule& module) const;

  /// What is wrong with a rank's result; empty: it is right, bit for bit where the algorithm
  /// reduces in the order of ranks.
  std::string wrong(int rank) const;
  /// The reports of all ranks, and their results.
  void check() const;
  std::string what(int rank) const;
  const Operands& operands(int rank) const { return operands_[static_cast<std::size_t>(rank)]; }

 private:
  std::size_t bytesOf(int blocks) const;
  const Contract& contract() const { return contractOf(case_.request.algorithm->collective); }
  bool premultiplied() const {
    return contract().reduces && case_.request.reduction == Reduction::preMulSum;
  }
  bool hasOut(int rank) const { return !contract().outAtRoot || rank == root_; }
  bool hasIn(int rank) const { return !contract().inAtRoot || rank == root_; }
  void place(int rank, std::size_t shift);
  std::vector<std::byte> block(int rank, int index) const;
  std::vector<std::byte> reduced(int index) const;
  std::vector<std::byte> expected(int rank) const;
  bool near(const std::byte* wanted, const std::byte* got, std::size_t bytes) const;

  const GeneratedCase& case_;
  HostWorld& world_;
  std::size_t count_, size_ = 1;
  int root_, inBlocks_ = 1, outBlocks_ = 1;
  std::vector<std::vector<std::byte>> inputs_;
  std::vector<Operands> operands_;
};

}  // namespace lockstep::testing
