// The communicator: a fixed group of ranks that call collectives together.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lockstep/attestation.hpp>
#include <lockstep/error.hpp>
#include <lockstep/types.hpp>

namespace lockstep {

/// Names a meeting point of ranks. Rank 0 creates it and hands the text to the others by any means
/// (MPI, a file, a pipe). It is no secret, but whoever knows it can try to connect. Of an id that
/// was created with the pre-shared key, all that such a stranger gets is turned away. Of one
/// without, it can take a rank's place: in sealed modes the creation of all ranks fails then, since
/// they authenticate each other by `Options::psk` or `Options::attestation` in any case. The text
/// says which it is ("lockstep2:" is keyed), and who can change it on its way can say otherwise.
class LOCKSTEP_API UniqueId {
 public:
  /// Opens the meeting point in this process: a thread serves it until a minute after the last
  /// communicator created with it is gone, or until the process ends. `address`: of the interface
  /// to listen on, or its name; empty for loopback. Throws invalidArgument when it is none of this
  /// machine's, system when there is no descriptor or thread to be had.
  ///
  /// `psk`: the ranks' `Options::psk`, at least 32 random bytes (else invalidArgument); then only
  /// ranks that know it are let in, and they notice when who answers does not know it. Empty: who
  /// has the text is let in.
  static UniqueId create(std::string_view address = {}, std::span<const std::byte> psk = {});
  /// Reads what `text()` printed. Throws invalidArgument on anything else.
  static UniqueId parse(std::string_view text);
  /// At most 160 printable characters without blanks.
  const std::string& text() const noexcept { return text_; }

 private:
  explicit UniqueId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// The pre-shared key in a file that `ccbench keygen` made, for Options::psk and UniqueId::create:
/// 32 to 1024 bytes as hexadecimal text. The caller wipes it. Throws invalidArgument for a file
/// that holds anything else, that others than its owner can read or write, that is another user's
/// (but root's), a symbolic link or no ordinary file; system if it cannot be read.
LOCKSTEP_API std::vector<std::byte> readPskFile(const std::string& path);

/// How a communicator is made. All ranks must give the same values (they are compared at creation).
struct Options {
  Mode mode = Mode::p2p;
  /// Bound of every wait. Creation waits so long until all have come, again for all that they then
  /// settle, and in each call that it times. At most 24 hours.
  std::chrono::milliseconds timeout{30000};
  /// Pre-shared key of sealed modes: at least 32 random bytes, the same on every rank. An id may
  /// have been created with it or not (see UniqueId). The communicator wipes its copy once the keys
  /// are made.
  std::vector<std::byte> psk;
  /// How ranks prove what they run: in sealed modes it stands in for a pre-shared key or, with one,
  /// is asked for as well. Not called in the clear. All ranks have one or none.
  std::shared_ptr<const Attestation> attestation;
  /// Allows sealed modes without a pre-shared key or an attestation: secret from a listener, but
  /// not from an active attacker.
  bool insecureKeys = false;
  /// Forces an algorithm by its name ("two_shot", "ring", "direct"; the READMEs in collectives/
  /// list them) for the collectives that have it; the others, and all if empty, are selected.
  std::string algorithm;
  /// Forces a protocol ("ll", "simple", "zero_copy") or, empty, selects. One that the forced
  /// algorithm does not have is refused when the communicator is created.
  std::string protocol;
  /// Forces an AEAD ("ipsec-mb", "openssl") or, empty, takes the fastest.
  std::string cipher;
  /// Sealed modes: a key is replaced before it has sealed more than so many bytes (tags, and what
  /// fills up blocks of 16, included), within a call too. At least 1 MiB; 0: after 2^34.5 blocks,
  /// 389 GB. The same on every rank. (What is in flight at once is sealed under two keys at most,
  /// so a key is kept for at least eight tiles.)
  std::uint64_t rekeyBytes = 0;
  /// Results have the same bits in every run, mode, algorithm, transport and chunking, at a given
  /// world size, on every CPU: each element is reduced in the order of ranks, f16 and bf16 in f32,
  /// rounded once; a NaN is always the same one. Only algorithms that do so are selected; to force
  /// another is an error, and rules of a tuning table that name another are passed over. (The
  /// ranks' threads must have the default rounding, and not flush subnormals.)
  bool reproducible = false;
  /// Path of a tuning table in JSON (lib/communicator/TUNING.md), as `ccbench tune` writes it;
  /// empty: the built-in one. If the file has none for this machine, the built-in one is used, and
  /// Plan::reason says so.
  std::string tuningFile;
  /// Allows ordinary buffers to be read by process_vm_readv. Used only where every rank may; never
  /// sealed.
  bool crossMemoryAttach = true;
  /// Starts a thread per communicator that keeps the operations of a Work moving while its owner
  /// does something else. It wants a core of its own while there are any.
  bool progressThread = false;
};

/// What a call would run, for reports and `--explain`.
struct Plan {
  std::string algorithm;      ///< "two_shot"
  std::string protocol;       ///< "zero_copy"
  std::string transport;      ///< "shared memory, read in place"
  std::size_t tileBytes = 0;  ///< bytes of one tile; 0 when the whole message is one
  int depth = 1;              ///< tiles in flight
  /// Why this one, for people: "built-in rule", "rule 2 of tuning.json; measured ..", "algorithm
  /// ring forced".
  std::string reason{};
};

/// `count` elements of `type` for rank `to`; `data` may be null if count is 0.
struct Send {
  const void* data = nullptr;
  std::size_t count = 0;
  DataType type = DataType::f32;
  int to = 0;
};
/// Room for what rank `from` sends: `count` elements of `type`.
struct Receive {
  void* data = nullptr;
  std::size_t count = 0;
  DataType type = DataType::f32;
  int from = 0;
};

/// What this rank has done since the communicator was created. Bytes, but for `records`. Masking
/// (Mode::ccMasked) counts as encrypting as many bytes as it makes of pads, and unmasking as
/// decrypting.
struct Counters {
  std::uint64_t moved = 0;    ///< written to memory that other ranks read, or read from theirs
  std::uint64_t sealed = 0;   ///< plaintext bytes encrypted
  std::uint64_t opened = 0;   ///< plaintext bytes decrypted
  std::uint64_t records = 0;  ///< sealed plus opened records
};

class CommunicatorImpl;

/// The color of ranks that take no part in what a split makes.
inline constexpr int kNoColor = -1;

/// Memory that the peers of a communicator can read in place (in sealed modes, and where ranks are
/// threads: private memory). Gives it back when destroyed. It may outlive its communicator. One of
/// a communicator in the clear is not for calls of a sealed one (invalidArgument). Other memory
/// that is shared with somebody is not noticed there, and nothing is promised of it.
class LOCKSTEP_API Buffer {
 public:
  Buffer() = default;
  /// At the start of a page; nullptr for a Buffer that was default-constructed or moved from.
  void* data() const noexcept { return owner_ == nullptr ? nullptr : data_; }
  /// Bytes, as asked for; 0 where data() is nullptr.
  std::size_t size() const noexcept { return owner_ == nullptr ? 0 : size_; }

 private:
  friend class CommunicatorImpl;
  std::shared_ptr<void> owner_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// One rank's membership. Calls of one communicator come from one thread at a time, and every rank
/// makes the same calls in the same order. Different communicators are independent.
///
/// Every call finishes or throws Error (or std::bad_alloc, when memory runs out): no wait is longer
/// than Options::timeout. After invalidArgument from a check of arguments, and after mismatch from
/// alloc, the communicator lives on; after anything else it has failed: its later calls throw
/// aborted, and so do those of the other ranks as soon as they have to wait. All of these say which
/// rank saw it first, and what; their rank() is the one that it blames. (Who has all it needs of a
/// call does not throw: ranks may have come a call apart, and those that are left had better agree
/// on where to go on.) Errors of collectives, besides those that a call names: mismatch (ranks made
/// different calls), timeout, aborted (another rank failed or aborted), peerDied, integrity (sealed
/// modes), system, and invalidArgument in a forked child.
///
/// In sealed modes what arrives shows whether it is of another call (mismatch) or of nobody's
/// making (integrity). Where nothing arrives, mismatch is a hint and no proof: it rests on words in
/// shared memory that others may have written, or on a message that was held back, and the text
/// says so.
class LOCKSTEP_API Communicator {
 public:
  /// Joins `worldSize` ranks (1 to 64), each calling with its own `rank` (from 0). Blocks until all
  /// have come. Throws invalidArgument (impossible rank, world or options: at once), timeout (names
  /// the ranks that have not come, and those that came twice), mismatch (world sizes or options
  /// differ: names them), bootstrap (nobody serves the meeting point), unsupported (ranks of
  /// several hosts or users; no such cipher here), keyExchange (sealed modes, and ids created with
  /// a key: on the rank whose key is missing or another, at once, while the others wait for one
  /// that has it), peerDied, system.
  static Communicator create(const UniqueId& id, int rank, int worldSize,
                             const Options& options = {});
  /// As create, for processes that a launcher has started, with nothing to hand around: rank, world
  /// size and job come from the environment. The first of these that is there decides:
  /// LOCKSTEP_RANK, LOCKSTEP_WORLD_SIZE and LOCKSTEP_JOB set by hand (LOCKSTEP_JOB: a text that all
  /// ranks share and no other job uses at the same time; it may also name the job of a launcher
  /// below); torchrun (RANK, WORLD_SIZE); Open MPI (OMPI_COMM_WORLD_RANK); PMI, which MPICH and
  /// Intel MPI speak (PMI_RANK); Slurm (SLURM_PROCID). Every rank makes the same number of calls,
  /// in the same order. In sealed modes with Options::psk the ranks meet as with an id that was
  /// created with it. Throws as create does; also invalidArgument (nothing there, or a value that
  /// makes no sense: named), timeout (names the ranks that did not come), unsupported (several
  /// hosts), mismatch (a process comes while another of its rank waits, or the world sizes differ).
  static Communicator createFromEnvironment(const Options& options = {});
  /// All ranks in this process, element r for the thread that plays rank r. One trust domain:
  /// sealed modes run their full cost, but keep nothing from anyone. They reach into each other's
  /// buffers: after an error, those of the call must stay until the other ranks' calls have ended
  /// too. Throws as create does.
  static std::vector<Communicator> createInProcess(int worldSize, const Options& options = {});

  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;
  ~Communicator();

  /// 0 to worldSize() - 1. A communicator that was moved from has rank -1 in a world of 0, and its
  /// calls throw invalidArgument.
  int rank() const noexcept;
  int worldSize() const noexcept;
  /// As in force: with the environment's settings, and without the key.
  const Options& options() const noexcept;

  /// out[i] = reduction over all ranks of in[i], i < count. `in == out` is in place; other overlap
  /// is an error. `count` elements of `type` in each. Returns when `out` is complete and `in` may
  /// be written. In sealed modes both must be private memory: others could change it while it is
  /// being encrypted. Throws invalidArgument for a null pointer (unless count is 0), overlap, a
  /// count that no memory holds or, in sealed modes, a Buffer of a communicator in the clear. When
  /// it throws, `out` is undefined.
  void allReduce(const void* in, void* out, std::size_t count, DataType type,
                 Reduction reduction = Reduction::sum);
  /// out[i] = sum over all ranks of in[i] times the rank's factor. Throws invalidArgument on the
  /// rank that gives a factor its integers cannot take. Ranks that ask for another reduction are a
  /// mismatch; factors are not compared. Products are made in `out`; of reduceScatter, and of
  /// reduce on a rank without `out`, in ordinary memory that the communicator keeps, which peers do
  /// not read in place.
  void allReduce(const void* in, void* out, std::size_t count, DataType type, PremultipliedSum sum);
  // The calls below are as allReduce: blocking, on ordinary or registered memory, with the same
  // errors. Buffers are blocks of `count` elements, one or worldSize() of them. In place, the
  // smaller buffer is this rank's own block of the larger, or both are the same; other overlap is
  // an error. A buffer that a rank does not have may be null.
  //
  // Ranks that name different roots are a mismatch. A rank that waits for what never comes throws
  // it within milliseconds. But roots of broadcast and scatter wait for nobody while their messages
  // are short, or few: if all others got what they waited for, each has what its own root sent, and
  // the mismatch is thrown in the next call in which a rank that did not take such a root's message
  // receives another of about its size from it. If there is none, nobody notices.

  /// Block b of `out` = `in` of rank b. `in`: 1 block, `out`: worldSize().
  void allGather(const void* in, void* out, std::size_t count, DataType type);
  /// `out` = reduction over all ranks of block rank() of their `in`. `in`: worldSize() blocks,
  /// `out`: 1.
  void reduceScatter(const void* in, void* out, std::size_t count, DataType type,
                     Reduction reduction = Reduction::sum);
  void reduceScatter(const void* in, void* out, std::size_t count, DataType type,
                     PremultipliedSum sum);
  /// Block b of `out` = block rank() of the `in` of rank b. Both: worldSize() blocks.
  void allToAll(const void* in, void* out, std::size_t count, DataType type);
  /// `out` = `in` of the root. Both: 1 block; `in` is the root's only.
  void broadcast(const void* in, void* out, std::size_t count, DataType type, int root);
  /// `out` of the root = reduction over all ranks of `in`. Both: 1 block; `out` is the root's only.
  void reduce(const void* in, void* out, std::size_t count, DataType type, Reduction reduction,
              int root);
  void reduce(const void* in, void* out, std::size_t count, DataType type, PremultipliedSum sum,
              int root);
  /// Block b of `out` of the root = `in` of rank b. `in`: 1 block, `out`: worldSize(), the root's.
  void gather(const void* in, void* out, std::size_t count, DataType type, int root);
  /// `out` = block rank() of the `in` of the root. `in`: worldSize() blocks, the root's; `out`: 1.
  void scatter(const void* in, void* out, std::size_t count, DataType type, int root);
  /// Any of them by its name, for callers that have it in a variable. What a collective does not
  /// take (Contract) is ignored. `factor`: this rank's, for Reduction::preMulSum.
  void run(Collective collective, const void* in, void* out, std::size_t count, DataType type,
           Reduction reduction = Reduction::sum, int root = 0, double factor = 1.0);
  /// Returns after every rank has entered.
  void barrier();

  // Point to point. A send meets the receive of the same count and type that its receiver makes
  // for it, those of one direction between two ranks in order; `count` may be 0. Between two
  // collectives of this communicator, which both ranks must have made, or not, alike. Errors are
  // those of collectives; mismatch names both sides. For transfers that must progress together
  // (two ranks that send to each other first), see exchange below, or Group in lockstep/group.hpp.

  /// Returns when `data` may be written again; a short message may not have been received by then.
  /// Throws invalidArgument for a null pointer (unless count is 0), a rank that is not in the
  /// world, or this rank.
  void send(const void* data, std::size_t count, DataType type, int to);
  /// Returns when `data` holds what `from` sent. Throws as send does.
  void receive(void* data, std::size_t count, DataType type, int from);
  /// Both at once, neither waiting for the other: a step around a ring, or of a halo. Returns when
  /// `send.data` may be written again and `receive.data` holds what came. They may not overlap.
  /// Throws as send does; this rank may be both ends, but not one.
  void exchange(const Send& send, const Receive& receive);
  /// Sends inCounts[r] elements at in + inOffsets[r] to every rank r, and receives outCounts[r]
  /// from it to out + outOffsets[r]; offsets are in elements. Each span has worldSize() entries.
  /// What r sends must be what this rank expects, as above. `in` and `out` may not overlap. An
  /// exchange of transfers, and not one of the collectives.
  void allToAllV(const void* in, std::span<const std::size_t> inCounts,
                 std::span<const std::size_t> inOffsets, void* out,
                 std::span<const std::size_t> outCounts, std::span<const std::size_t> outOffsets,
                 DataType type);

  /// Makes this rank's current and later calls fail with ErrorCode::aborted, and those of the other
  /// ranks as soon as they have to wait. Any thread may call it. Not of shrink: that goes on.
  void abort() noexcept;

  /// `bytes` (1 to half of the address space) of zeroed memory that peers read in place.
  /// Collective: every rank asks for the same size, or all throw mismatch, which names the sizes.
  /// In sealed modes this call, retune, split and duplicate throw integrity, naming the rank, if
  /// what that rank said was changed on the way.
  Buffer alloc(std::size_t bytes);

  // Children. A child has its parent's options and its own memory, connections and keys: it works
  // on when the parent is gone, whoever opened the meeting point, and both may be used by different
  // threads at once. Each member counts as one of the child's ranks, from 0. Errors are those of
  // create and of collectives; mismatch (the ranks called different things) leaves the parent as it
  // was. In sealed modes a child's keys come from a fresh key exchange, under a pre-shared key
  // derived from the parent's keys, with fresh quotes if there is an attestation; children of
  // insecure parents are insecure.

  /// Collective over this communicator: the ranks that give the same `color` (0 or more) get a
  /// communicator of their own, ordered by `key`, then by rank here. A negative color (kNoColor)
  /// takes part in the call and gets nothing.
  std::optional<Communicator> split(int color, int key);
  /// Collective: the same ranks in the same order once more.
  Communicator duplicate();
  /// Collective among the ranks that are left, also after this communicator has failed: they agree
  /// on who is left and get a communicator of those, in the old order. Left out are ranks whose
  /// process has died, also if it does so during the call, and ranks that have destroyed their
  /// communicator. Every other rank must call it within Options::timeout: else timeout, which names
  /// those that did not. When it returns, this communicator is as it was.
  Communicator shrink();

  /// Replaces the tuning table, from the next call on: `json` is the text of a tuning file, `name`
  /// stands for its path. For tuners that compare plans on one communicator. Collective: every rank
  /// gives the same text. Throws invalidArgument for a text that is no tuning file, and mismatch if
  /// texts differ; both leave the old table.
  void retune(std::string_view json, std::string_view name);

  /// What allReduce of `count` elements would run; `registered`: all ranks' buffers are Buffers of
  /// this communicator. Not collective. Throws invalidArgument for a count that no memory holds.
  Plan planAllReduce(std::size_t count, DataType type, bool registered) const;
  /// The same of any collective, for blocks of `count` elements. Premultiplied sums but for
  /// all-reduce count as not registered.
  Plan plan(Collective collective, std::size_t count, DataType type, bool registered) const;
  /// Not while a call is under way in another thread.
  Counters counters() const noexcept;
  /// The AEAD in use ("ipsec-mb AES-256-GCM"), or "none".
  std::string cipher() const;
  /// How keys came about ("X25519 and pre-shared key", "X25519 and attestation", "X25519,
  /// pre-shared key and attestation", "unauthenticated (insecure)"), or "none". A child's came
  /// about as its parent's.
  std::string keySource() const;
  /// How ordinary buffers are reached ("process_vm_readv", "slots", "same process").
  std::string ordinaryPath() const;

 private:
  friend class CommunicatorImpl;
  explicit Communicator(std::shared_ptr<CommunicatorImpl> impl);
  std::shared_ptr<CommunicatorImpl> impl_;
};

/// One line of the table of LOCKSTEP_* environment variables.
struct Setting {
  std::string_view name;      ///< "LOCKSTEP_TIMEOUT_MS"
  std::string_view type;      ///< "milliseconds"
  std::string_view fallback;  ///< what holds when it is not set; may be empty
  std::string_view meaning;
};
/// All of them. What the caller sets in Options wins.
LOCKSTEP_API std::span<const Setting> settings();

/// "0.1.0"
LOCKSTEP_API std::string_view version();

/// What a tuning table holds for: processor, cores, last cache, hypervisor and version of the
/// library in one line, the same in every process of a machine.
LOCKSTEP_API std::string machine();

}  // namespace lockstep
