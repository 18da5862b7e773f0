#include "support/world.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.hpp"
#include "base/fd.hpp"

namespace lockstep::testing {
namespace {

using Play = std::function<void(int rank)>;

Outcome attempt(const Play& play, int rank) {
  Outcome outcome;
  try {
    play(rank);
    outcome.ok = true;
  } catch (const Error& error) {
    outcome.code = error.code();
    outcome.blamed = error.rank();
    outcome.operation = error.operation();
    outcome.text = error.what();
  } catch (const std::exception& error) {
    outcome.text = error.what();
  }
  return outcome;
}

// ---- threads ----

/// Ends the program if nobody calls it off in time: a thread that hangs cannot be ended alone.
class Watchdog {
 public:
  explicit Watchdog(std::chrono::seconds limit)
      : thread_([this, limit] {
          std::unique_lock lock(mutex_);
          if (off_.wait_for(lock, limit, [this] { return done_; })) return;
          std::fprintf(stderr, "ranks that are threads did not end within %lld s\n",
                       static_cast<long long>(limit.count()));
          std::abort();
        }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    off_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable off_;
  bool done_ = false;
  std::thread thread_;
};

std::vector<Outcome> playThreads(int worldSize, const Play& play, std::chrono::seconds limit) {
  const Watchdog watchdog(limit);
  std::vector<Outcome> outcomes(static_cast<std::size_t>(worldSize));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < worldSize; ++rank)
    threads.emplace_back(
        [&, rank] { outcomes[static_cast<std::size_t>(rank)] = attempt(play, rank); });
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

// ---- processes ----

/// A word for each field, then the free text.
std::string encode(const Outcome& o) {
  return fmt::format("{} {} {}\n{}\n{}", o.ok ? 1 : 0, o.code ? static_cast<int>(*o.code) : -1,
                     o.blamed, o.operation, o.text);
}

Outcome decode(const std::string& said) {
  std::istringstream in(said);
  Outcome outcome;
  int code = -1;
  in >> outcome.ok >> code >> outcome.blamed;
  in.ignore(1);
  std::getline(in, outcome.operation);
  if (code >= 0) outcome.code = static_cast<ErrorCode>(code);
  outcome.text.assign(std::istreambuf_iterator<char>(in), {});
  return outcome;
}

/// A forked process that plays one rank. Killed when destroyed.
class Child {
 public:
  Child(const Play& play, int rank) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    result_ = Fd(ends[0]);
    Fd report(ends[1]);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ != 0) return;
    result_.reset();
    const std::string said = encode(attempt(play, rank));
    for (std::size_t at = 0; at < said.size();) {
      const ssize_t n = ::write(report.get(), said.data() + at, said.size() - at);
      if (n <= 0) ::_exit(2);
      at += static_cast<std::size_t>(n);
    }
    ::_exit(0);
  }
  Child(Child&& o) noexcept
      : pid_(std::exchange(o.pid_, -1)), result_(std::move(o.result_)), said_(std::move(o.said_)) {}
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  Outcome outcome(Deadline deadline) {
    if (!readAll(deadline)) {
      Outcome late;
      late.text = "did not end in time and was killed";
      return late;
    }
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return decode(said_);
    Outcome died;
    died.text = WIFSIGNALED(status) ? fmt::format("killed by signal {}", WTERMSIG(status))
                                    : fmt::format("exited with {}", WEXITSTATUS(status));
    return died;
  }

 private:
  bool readAll(Deadline deadline) {
    for (;;) {
      pollfd entry{result_.get(), POLLIN, 0};
      if (::poll(&entry, 1, deadline.pollMilliseconds()) <= 0) return false;
      char part[1024];
      const ssize_t n = ::read(result_.get(), part, sizeof part);
      if (n <= 0) return true;
      said_.append(part, static_cast<std::size_t>(n));
    }
  }
  pid_t pid_ = -1;
  Fd result_;
  std::string said_;
};

std::vector<Outcome> playProcesses(int worldSize, const Play& play, std::chrono::seconds limit) {
  const Deadline deadline = Deadline::in(limit);
  std::fflush(nullptr);  // or the children's buffers hold our text too
  std::vector<Child> children;
  children.reserve(static_cast<std::size_t>(worldSize));
  for (int rank = 0; rank < worldSize; ++rank) children.emplace_back(play, rank);
  std::vector<Outcome> outcomes;
  for (Child& child : children) outcomes.push_back(child.outcome(deadline));
  return outcomes;
}

/// What rank 0 leaves for the others.
struct Note {
  std::atomic<bool> written{false};
  char text[256] = {};
};

}  // namespace

std::string_view name(Kind kind) {
  constexpr std::string_view names[] = {"threads", "sockets", "processes"};
  return names[static_cast<std::size_t>(kind)];
}

std::string describe(const std::vector<Outcome>& outcomes) {
  std::string text;
  for (std::size_t r = 0; r < outcomes.size(); ++r) {
    const Outcome& o = outcomes[r];
    text += fmt::format("rank {}: {}{}{}\n", r, o.ok ? "ok" : "",
                        o.code ? fmt::format("[{}] ", lockstep::name(*o.code)) : "", o.text);
  }
  return text;
}

std::string failures(const std::vector<Outcome>& outcomes) {
  for (const Outcome& o : outcomes)
    if (!o.ok) return describe(outcomes);
  return {};
}

std::vector<Outcome> playRanks(Kind kind, int worldSize, const Play& play,
                               std::chrono::seconds limit) {
  return kind == Kind::processes ? playProcesses(worldSize, play, limit)
                                 : playThreads(worldSize, play, limit);
}

std::vector<Outcome> runRanks(Kind kind, int worldSize, const Options& options,
                              const std::function<void(Communicator&, int rank)>& play,
                              std::chrono::seconds limit) {
  return runRanks(
      kind, worldSize, std::vector<Options>{options},
      [&](std::vector<Communicator>& all, int rank) { play(all.front(), rank); }, limit);
}

std::vector<Outcome> runRanks(Kind kind, int worldSize, const std::vector<Options>& options,
                              const std::function<void(std::vector<Communicator>&, int rank)>& play,
                              std::chrono::seconds limit) {
  if (kind == Kind::threads) {
    std::vector<std::vector<Communicator>> byRank(static_cast<std::size_t>(worldSize));
    for (const Options& o : options) {
      auto ends = Communicator::createInProcess(worldSize, o);
      for (std::size_t r = 0; r < ends.size(); ++r) byRank[r].push_back(std::move(ends[r]));
    }
    return playRanks(
        kind, worldSize,
        [&](int rank) {
          // The rank's own, so that it leaves when it is done, as a process does.
          auto mine = std::move(byRank[static_cast<std::size_t>(rank)]);
          play(mine, rank);
        },
        limit);
  }
  std::vector<Meeting> meetings(options.size());
  return playRanks(
      kind, worldSize,
      [&](int rank) {
        std::vector<Communicator> mine;
        for (std::size_t k = 0; k < options.size(); ++k)
          mine.push_back(Communicator::create(meetings[k].id(rank), rank, worldSize, options[k]));
        play(mine, rank);
      },
      limit);
}

Meeting::Meeting()
    : page_(Mapping::ofFile(createSharedMemory("meeting", kPage), kPage,
                            Mapping::Access::readWrite)) {
  new (page_.data()) Note();
}

UniqueId Meeting::id(int rank) {
  auto& note = *reinterpret_cast<Note*>(page_.data());
  if (rank == 0) {
    UniqueId id = UniqueId::create();
    require(id.text().size() < sizeof note.text, "the name of a meeting point is too long");
    std::memcpy(note.text, id.text().c_str(), id.text().size() + 1);
    note.written.store(true, std::memory_order_release);
    return id;
  }
  const Deadline deadline = Deadline::in(kWorldLimit);
  while (!note.written.load(std::memory_order_acquire)) {
    require(!deadline.passed(), "rank 0 opened no meeting point");
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return UniqueId::parse(note.text);
}

std::vector<std::byte> testPsk() {
  std::vector<std::byte> psk(32);
  for (std::size_t i = 0; i < psk.size(); ++i) psk[i] = static_cast<std::byte>(i * 41 + 7);
  return psk;
}

Options optionsOf(Mode mode) {
  Options options;
  options.mode = mode;
  options.timeout = std::chrono::seconds(60);
  if (isSealed(mode)) options.psk = testPsk();
  return options;
}

void require(bool holds, const std::string& why) {
  if (!holds) throw std::runtime_error(why);
}

}  // namespace lockstep::testing
