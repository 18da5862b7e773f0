// Sends and receives: what two ranks exchange outside of collectives. Each is a lane of one
// operation with its own count (SCHEDULE.md, "Point to point"); all that are under way progress
// together, and those of one direction between two ranks in the order they were added.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cc_mode/keys/key_ring.hpp"
#include "executor/host/records.hpp"
#include "executor/host/run.hpp"
#include "transport/cma/cma.hpp"
#include "transport/shm/shared_copy.hpp"
#include "transport/shm/transfer_stamp.hpp"
#include <lockstep/types.hpp>

namespace lockstep::host {

/// One send or receive. Belongs to whoever asks for it, and stays where it is until it has
/// finished.
struct Transfer {
  enum class Direction : std::uint8_t { send, receive };
  Direction direction = Direction::send;
  int peer = 0;
  void* data = nullptr;  ///< of a send: only read
  std::size_t count = 0;
  DataType type = DataType::u8;
  Transfer* next = nullptr;  ///< in whatever list it is
  std::size_t bytes() const { return count * sizeOf(type); }
};
/// "receive of 8 f32 from rank 1"
std::string toString(const Transfer& transfer);

/// A list of transfers in the order they came, linked through them.
class TransferList {
 public:
  bool empty() const { return first_ == nullptr; }
  Transfer* first() const { return first_; }
  void push(Transfer& transfer) {
    transfer.next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = &transfer;
    last_ = &transfer;
  }
  Transfer& pop() {
    Transfer& transfer = *first_;
    first_ = transfer.next;
    return transfer;
  }

 private:
  Transfer* first_ = nullptr;
  Transfer* last_ = nullptr;
};

/// How a transfer goes. Its first message is one of lines (LL) and says what the transfer is. It
/// carries the payload if that fits; or it says where the payload lies, and the receiver fetches it
/// (the sender helps) and answers with the credit of that message; or the payload follows in slots.
/// The sender chooses. In sealed modes the payload never stays where it is, and every message is
/// sealed.
class Transfers {
 public:
  /// Runs where `run` does, seals as it does, and counts together with it. `keys`: of sealed modes,
  /// else nullptr.
  Transfers(Run& run, cc::KeyRing* keys);
  ~Transfers() { run_.askOfSends({}); }
  Transfers(const Transfers&) = delete;  // the run knows where it is
  Transfers& operator=(const Transfers&) = delete;

  /// Ordinary memory from this size on is fetched by process_vm_readv (default: never).
  void attachFrom(std::size_t bytes) { attachFrom_ = bytes; }

  void add(Transfer& transfer);
  bool idle() const { return active_.empty(); }
  /// Does what can be done now; true if anything was. Throws as Run::step does.
  bool step();
  /// Those that have finished since they were last taken.
  TransferList& finished() { return finished_; }
  /// After a failure: when this returns, no peer writes into a buffer of mine any more.
  void close();
  /// Forgets all, finished or not; the communicator has failed. Returns them.
  TransferList abandon();
  /// After a step that moved nothing: a transfer that waits, and for what. There is one unless
  /// idle.
  const Transfer& waiting() const { return *active_.front()->queue.first(); }
  const shm::Awaited& awaited() const { return active_.front()->awaited; }

 private:
  enum class Stage : std::uint8_t { begin, head, body, lent, fetch };
  /// One direction of one pair of ranks; what follows the queue is about its first transfer.
  struct Lane {
    Transfer::Direction direction = Transfer::Direction::send;
    int peer = 0;
    std::uint64_t sequence = 0;
    TransferList queue;
    Stage stage = Stage::begin;
    bool whole = false;  ///< the first message carries the payload, or would
    std::uint64_t stamp = 0;
    shm::Step headStep = 0, bodyStep = 0;
    std::uint32_t tile = 0, tiles = 0;
    /// Of the first message, which is unit 0 of the key's; tile t is unit t + 1.
    std::uint64_t nonce = 0;
    cc::LiveKey* key = nullptr;
    shm::Awaited awaited;
    // What was lent is copied by both, block by block.
    std::size_t blockBytes = 0;
    shm::Location where;  ///< receiver: of the payload
    shm::ReaderEnd<shm::Word> reader;
    shm::WriterEnd<shm::Word> writer;
  };

  Lane& laneOf(Transfer::Direction direction, int peer);
  bool attempt(Lane& lane);
  void begin(Lane& lane);
  void takeNonces(Lane& lane, std::size_t bytes) const;
  bool matchSelf(Lane& receives);
  void finish(Lane& lane);

  bool sendHead(Lane& lane);
  bool sendTile(Lane& lane);
  void nextTile(Lane& lane);
  bool receiveHead(Lane& lane);
  void finishHead(Lane& lane);
  void checkStamp(const Lane& lane, std::uint64_t stamp);
  [[noreturn]] void refuseStamp(const Lane& lane, std::uint64_t stamp);
  [[noreturn]] void refuseRecord(const Lane& lane) const;
  bool wasSealedAs(const Lane& lane, const shm::TransferDescription& theirs);
  std::optional<shm::CallDescription> calledInstead(int peer) const;
  std::optional<shm::CallDescription> wasSealedInCall(const Lane& lane);
  std::optional<shm::TransferDescription> sentBy(int peer);
  bool receiveTile(Lane& lane);

  // transfer_lend.cpp
  bool canLend(const Transfer& transfer, shm::Location where) const;
  bool isAttached(shm::Location where) const;
  void lend(Lane& lane, shm::Location where) const;
  bool awaitReturn(Lane& lane);
  bool help(Lane& lane);
  void openFetch(Lane& lane, shm::Location where);
  bool fetch(Lane& lane);
  void checkLender(const Lane& lane) const;
  void closeFetch(Lane& lane);
  std::byte* reach(int peer, shm::Location where, std::size_t bytes) const;
  cma::Process process(int peer) const;

  std::size_t tileBytes(const Lane& lane) const;
  RecordName recordName(const Lane& lane, const Transfer& transfer, bool head,
                        std::uint32_t record) const;
  static std::uint64_t unitOf(const Lane& lane, bool head) { return head ? 0 : lane.tile + 1; }
  static std::uint64_t nonceOf(const Lane& lane, bool head, std::uint32_t record);
  const std::byte* seal(Lane& lane, bool head, std::uint32_t record, const std::byte* plain,
                        std::size_t bytes);
  void open(Lane& lane, bool head, std::uint32_t record, std::size_t bytes, std::byte* plain);
  bool sealed() const { return keys_ != nullptr; }
  /// The payload fits the first message.
  bool isWhole(std::size_t bytes) const {
    return (sealed() ? bytes + cc::kTagBytes : bytes) <= shm::kLlBytes;
  }
  int rank() const { return env_.fabric.rank(); }

  Run& run_;
  const Surroundings& env_;
  RecordSealer& sealer_;
  Counters& counters_;
  cc::KeyRing* keys_;
  static constexpr std::size_t kNever = ~std::size_t{0};
  std::size_t attachFrom_ = kNever;
  std::array<std::array<std::byte, 16>, kDataTypes> digests_{};
  std::vector<Lane> lanes_;    ///< sends by receiver, then receives by sender
  std::vector<Lane*> active_;  ///< those that have a transfer
  TransferList finished_;
};

}  // namespace lockstep::host
