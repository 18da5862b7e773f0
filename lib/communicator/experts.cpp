#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "base/fail.hpp"
#include "communicator/communicator_impl.hpp"
#include "executor/host/reduce.hpp"
#include <lockstep/experts.hpp>
#include <lockstep/group.hpp>

namespace lockstep {

namespace {

constexpr int kMostChoices = 64;

/// A choice as it travels: which expert of the receiver, and how much of it.
struct Slot {
  std::int32_t expert = -1;
  float weight = 0;
};

/// Memory that only grows.
class Rows {
 public:
  std::byte* fit(std::size_t bytes) {
    if (bytes_.size() < bytes) bytes_ = Mapping::anonymous(std::max(bytes, 2 * bytes_.size()));
    return bytes_.data();
  }
  std::byte* data() { return bytes_.data(); }

 private:
  Mapping bytes_;
};

/// What one rank tells another before the tokens go.
struct Announcement {
  std::uint64_t count = 0;  ///< tokens that it sends
  std::uint64_t layer = 0;  ///< what all must agree on
};

}  // namespace

class Experts::Impl {
 public:
  Impl(const Communicator& communicator, int experts, int topK, std::size_t hidden, DataType type)
      : communicator_(CommunicatorImpl::wrap(CommunicatorImpl::of(communicator))),
        world_(static_cast<std::size_t>(communicator.worldSize())),
        local_(experts / static_cast<int>(world_)),
        topK_(static_cast<std::size_t>(topK)),
        hidden_(hidden),
        type_(type) {
    if (experts < 1 || experts % communicator.worldSize() != 0)
      fail(ErrorCode::invalidArgument, "{} experts cannot be spread evenly over {} ranks", experts,
           communicator.worldSize());
    if (local_ > kMostExperts)
      fail(ErrorCode::invalidArgument, "{} experts are {} for each rank; it takes 1 to {}", experts,
           local_, kMostExperts);
    if (topK < 1 || topK > kMostChoices)
      fail(ErrorCode::invalidArgument, "top-k is {}; it takes 1 to {}", topK, kMostChoices);
    if (static_cast<std::size_t>(type) >= kDataTypes)
      fail(ErrorCode::invalidArgument, "experts: no such data type ({})", static_cast<int>(type));
    if (hidden < 1 || hidden > kMostElements)
      fail(ErrorCode::invalidArgument, "a token of {} elements: it takes 1 to {}", hidden,
           kMostElements);
    sentTo_.resize(world_);
    receivedFrom_.resize(world_);
    reduce_ = host::reduceFunction(type, Reduction::sum);
  }

  int local() const { return local_; }
  std::size_t received() const { return received_; }
  std::span<const std::size_t> receivedFrom() const { return receivedFrom_; }
  void* tokens() { return tokens_.data(); }
  std::span<const Choice> of(int expert) const {
    if (expert < 0 || expert >= local_)
      fail(ErrorCode::invalidArgument, "expert {} is not one of this rank's (0 to {})", expert,
           local_ - 1);
    const auto e = static_cast<std::size_t>(expert);
    if (firstChoice_.empty()) return {};
    return std::span(choices_).subspan(firstChoice_[e], firstChoice_[e + 1] - firstChoice_[e]);
  }

  void dispatch(const void* tokens, std::size_t count, const std::int32_t* chosen,
                const float* weights) {
    check(tokens, count, chosen);
    try {
      route(count, chosen);
      const std::size_t sent = pack(tokens, chosen, weights);
      tellCounts();
      exchangeTokens(sent);
      sortByExpert();
    } catch (...) {  // no memory, perhaps: the others must not wait for what does not come
      communicator_.abort();
      forgetReceived();
      throw;
    }
  }

  void combine(const void* results, void* out) {
    if ((results == nullptr && received_ != 0) || (out == nullptr && dispatched_ != 0))
      fail(ErrorCode::invalidArgument, "combine: {} is null",
           results == nullptr && received_ != 0 ? "results" : "out");
    std::byte* back = returned_.fit(total(sentTo_) * rowBytes());
    Group group;
    std::size_t to = 0, from = 0;
    for (std::size_t r = 0; r < world_; ++r) {
      const int rank = static_cast<int>(r);
      group.send(communicator_, at(results, to), receivedFrom_[r] * hidden_, type_, rank);
      group.receive(communicator_, at(back, from), sentTo_[r].size() * hidden_, type_, rank);
      to += receivedFrom_[r];
      from += sentTo_[r].size();
    }
    group.start().wait();
    addUp(back, out);
  }

 private:
  static constexpr std::size_t kMostElements = std::size_t{1} << 24;
  using Lists = std::vector<std::vector<std::uint32_t>>;

  std::size_t rowBytes() const { return hidden_ * sizeOf(type_); }
  std::byte* at(std::byte* rows, std::size_t row) const {
    return rows == nullptr ? nullptr : rows + row * rowBytes();
  }
  const std::byte* at(const void* rows, std::size_t row) const {
    return rows == nullptr ? nullptr : static_cast<const std::byte*>(rows) + row * rowBytes();
  }
  static std::size_t total(const Lists& lists) {
    std::size_t n = 0;
    for (const auto& list : lists) n += list.size();
    return n;
  }

  /// Of one rank: those of all have 32-bit numbers.
  std::size_t mostTokens() const { return std::numeric_limits<std::uint32_t>::max() / world_; }

  void forgetReceived() {
    received_ = 0;
    std::fill(receivedFrom_.begin(), receivedFrom_.end(), 0);
    firstChoice_.clear();
  }

  void check(const void* tokens, std::size_t count, const std::int32_t* chosen) const {
    if (count > mostTokens())
      fail(ErrorCode::invalidArgument, "dispatch: {} tokens are too many", count);
    if (count != 0 && (tokens == nullptr || chosen == nullptr))
      fail(ErrorCode::invalidArgument, "dispatch: {} is null",
           tokens == nullptr ? "tokens" : "chosen");
    const int experts = local_ * static_cast<int>(world_);
    for (std::size_t i = 0; i < count * topK_; ++i)
      if (chosen[i] < -1 || chosen[i] >= experts)
        fail(ErrorCode::invalidArgument,
             "dispatch: token {} chose expert {}; there are 0 to {}, and -1 for none", i / topK_,
             chosen[i], experts - 1);
  }

  /// Which tokens go to which rank: each once, in order.
  void route(std::size_t count, const std::int32_t* chosen) {
    dispatched_ = count;
    for (auto& list : sentTo_) list.clear();
    for (std::size_t t = 0; t < count; ++t)
      for (std::size_t k = 0; k < topK_; ++k) {
        const std::int32_t expert = chosen[t * topK_ + k];
        if (expert < 0) continue;
        auto& list = sentTo_[static_cast<std::size_t>(expert / local_)];
        if (list.empty() || list.back() != t) list.push_back(static_cast<std::uint32_t>(t));
      }
  }

  /// Rows and choices in the order in which they go. Returns how many rows.
  std::size_t pack(const void* tokens, const std::int32_t* chosen, const float* weights) {
    const std::size_t rows = total(sentTo_);
    std::byte* packed = packed_.fit(rows * rowBytes());
    slotsOut_.assign(rows * topK_, {});
    std::size_t row = 0;
    for (std::size_t r = 0; r < world_; ++r)
      for (const std::uint32_t t : sentTo_[r]) {
        std::memcpy(at(packed, row), at(tokens, t), rowBytes());
        for (std::size_t k = 0; k < topK_; ++k) {
          const std::int32_t expert = chosen[t * topK_ + k];
          if (expert < 0 || static_cast<std::size_t>(expert / local_) != r) continue;
          slotsOut_[row * topK_ + k] = {expert % local_,
                                        weights == nullptr ? 1.0F : weights[t * topK_ + k]};
        }
        ++row;
      }
    return rows;
  }

  void tellCounts() {
    std::vector<Announcement> out(world_), in(world_);
    const std::uint64_t layer = (static_cast<std::uint64_t>(local_) << 48) ^
                                (static_cast<std::uint64_t>(topK_) << 40) ^
                                (static_cast<std::uint64_t>(type_) << 32) ^ hidden_;
    for (std::size_t r = 0; r < world_; ++r) out[r] = {sentTo_[r].size(), layer};
    communicator_.allToAll(out.data(), in.data(), 2, DataType::u64);
    received_ = 0;
    for (std::size_t r = 0; r < world_; ++r) {
      if (in[r].layer != layer || in[r].count > mostTokens())
        throw Error(ErrorCode::mismatch, static_cast<int>(r), "dispatch",
                    fmt::format("dispatch: ranks {} and {} disagree about the layer (experts, "
                                "top-k, hidden, type)",
                                r, communicator_.rank()));
      receivedFrom_[r] = in[r].count;
      received_ += in[r].count;
    }
  }

  void exchangeTokens(std::size_t sent) {
    std::byte* packed = packed_.fit(sent * rowBytes());
    std::byte* tokens = tokens_.fit(received_ * rowBytes());
    slotsIn_.assign(received_ * topK_, {});
    constexpr std::size_t kWords = sizeof(Slot) / sizeof(std::uint32_t);
    Group group;
    std::size_t to = 0, from = 0;
    for (std::size_t r = 0; r < world_; ++r) {
      const int rank = static_cast<int>(r);
      const std::size_t out = sentTo_[r].size(), in = receivedFrom_[r];
      group.send(communicator_, slotsOut_.data() + to * topK_, out * topK_ * kWords, DataType::u32,
                 rank);
      group.send(communicator_, at(packed, to), out * hidden_, type_, rank);
      group.receive(communicator_, slotsIn_.data() + from * topK_, in * topK_ * kWords,
                    DataType::u32, rank);
      group.receive(communicator_, at(tokens, from), in * hidden_, type_, rank);
      to += out;
      from += in;
    }
    group.start().wait();
  }

  /// A counting sort of what has come. Choices of experts that do not exist, which no rank that
  /// runs this code sends, are left out.
  void sortByExpert() {
    const auto mine = [this](const Slot& slot) { return slot.expert >= 0 && slot.expert < local_; };
    firstChoice_.assign(static_cast<std::size_t>(local_) + 1, 0);
    for (const Slot& slot : slotsIn_)
      if (mine(slot)) ++firstChoice_[static_cast<std::size_t>(slot.expert) + 1];
    for (std::size_t e = 1; e < firstChoice_.size(); ++e) firstChoice_[e] += firstChoice_[e - 1];
    choices_.resize(firstChoice_.back());
    std::vector<std::size_t> next(firstChoice_.begin(), firstChoice_.end() - 1);
    for (std::size_t i = 0; i < slotsIn_.size(); ++i)
      if (mine(slotsIn_[i]))
        choices_[next[static_cast<std::size_t>(slotsIn_[i].expert)]++] = {
            static_cast<std::uint32_t>(i / topK_), slotsIn_[i].weight};
  }

  /// Every token's rows lie by rank, and in each rank's part by token.
  void addUp(const std::byte* back, void* out) const {
    std::vector<std::size_t> first(world_, 0), next(world_, 0);
    for (std::size_t r = 1; r < world_; ++r) first[r] = first[r - 1] + sentTo_[r - 1].size();
    std::vector<const void*> rows;
    for (std::size_t t = 0; t < dispatched_; ++t) {
      rows.clear();
      for (std::size_t r = 0; r < world_; ++r)
        if (next[r] < sentTo_[r].size() && sentTo_[r][next[r]] == t)
          rows.push_back(at(back, first[r] + next[r]++));
      void* sum = static_cast<std::byte*>(out) + t * rowBytes();
      if (rows.empty())
        std::memset(sum, 0, rowBytes());
      else
        reduce_({.dst = &sum,
                 .dsts = 1,
                 .src = rows.data(),
                 .srcs = static_cast<int>(rows.size()),
                 .count = hidden_});
    }
  }

  Communicator communicator_;
  std::size_t world_;
  int local_;
  std::size_t topK_, hidden_;
  DataType type_;
  host::ReduceFunction reduce_ = nullptr;

  std::size_t dispatched_ = 0, received_ = 0;
  Lists sentTo_;  ///< tokens, by rank
  std::vector<std::size_t> receivedFrom_;
  Rows packed_, tokens_, returned_;
  std::vector<Slot> slotsOut_, slotsIn_;  ///< topK of each row
  std::vector<std::size_t> firstChoice_;  ///< of each local expert in choices_, and the end
  std::vector<Choice> choices_;
};

Experts::Experts(const Communicator& communicator, int experts, int topK, std::size_t hidden,
                 DataType type)
    : impl_(std::make_unique<Impl>(communicator, experts, topK, hidden, type)) {}
Experts::Experts(Experts&&) noexcept = default;
Experts& Experts::operator=(Experts&&) noexcept = default;
Experts::~Experts() = default;

Experts::Impl& Experts::impl() const {
  if (impl_ == nullptr)
    fail(ErrorCode::invalidArgument, "these experts were moved elsewhere: use those");
  return *impl_;
}

int Experts::local() const noexcept {
  return impl_ == nullptr ? 0 : impl_->local();
}
void Experts::dispatch(const void* tokens, std::size_t count, const std::int32_t* chosen,
                       const float* weights) {
  impl().dispatch(tokens, count, chosen, weights);
}
std::size_t Experts::received() const noexcept {
  return impl_ == nullptr ? 0 : impl_->received();
}
std::span<const std::size_t> Experts::receivedFrom() const noexcept {
  return impl_ == nullptr ? std::span<const std::size_t>() : impl_->receivedFrom();
}
void* Experts::tokens() noexcept {
  return impl_ == nullptr ? nullptr : impl_->tokens();
}
std::span<const Experts::Choice> Experts::of(int local) const {
  return impl().of(local);
}
void Experts::combine(const void* results, void* out) {
  impl().combine(results, out);
}

}  // namespace lockstep
