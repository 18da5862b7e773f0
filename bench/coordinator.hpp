// The dialogue of a run: one link per rank, and what their messages and deaths mean.
#pragma once

#include <map>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/launcher.hpp"
#include "bench/link.hpp"
#include "bench/processes.hpp"
#include "bench/signals.hpp"

namespace lockstep::bench {

class Coordinator {
 public:
  /// `childName(i)`: what child i is called in an error ("rank 3", "mpirun").
  Coordinator(const Launch& launch, Children& children, std::string childName);

  /// A rank's end, before it has said which rank it is.
  void addLink(Fd fd) { connections_.push_back({Link(std::move(fd))}); }
  /// Where ranks connect by themselves.
  void listenAt(Fd listener) { listener_ = std::move(listener); }

  /// Until all ranks are done or one has failed, died or gone silent.
  Outcome run();

 private:
  struct Connection {
    Link link;
    int rank = -1;  ///< known after hello
    bool open = true;
    bool told = false;  ///< sent done or error
  };

  void wait();
  void takeSignals();
  void acceptRanks();
  void readLinks();
  void handle(Connection& connection, const nlohmann::json& message);
  void keepPart(RunResult part);
  void greet(Connection& connection);
  void passOnMeeting();
  void noteSilence();
  void noteEnd(const ChildEnd& end);
  void fail(std::string text, bool isConsequence);
  bool finished() const;
  Outcome conclude();

  const Launch& launch_;
  Children& children_;
  std::string childName_;
  SignalWatch signals_;
  Fd listener_;
  std::vector<Connection> connections_;
  std::string meeting_;  ///< rank 0's message, once it has come
  Outcome outcome_;
  std::vector<std::string> consequences_;  ///< errors that another rank's failure explains
  Clock::time_point lastHeard_;            ///< when a rank last gave a sign of life
  Deadline failing_;                       ///< time for the others to tell, after a failure
  bool failed_ = false;
};

}  // namespace lockstep::bench
