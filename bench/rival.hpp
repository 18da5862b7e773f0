// A rival's library, opened at run time (bench/baselines/baseline.hpp), as a subject.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "bench/baselines/baseline.hpp"
#include "bench/subject.hpp"

namespace lockstep::bench {

/// A rival that ccbench has a module for.
struct RivalKind {
  const char* name;
  const char* packages;  ///< Debian's, with which its module is built; empty: it needs none
  bool gpu;              ///< it works on device memory, else on the host's
};
std::span<const RivalKind> rivalKinds();

/// Throws unsupported, and says how to get it, when the module of a rival was not built.
void requireModule(const std::string& name);

/// The rival's group, from its init to its finalize. Throws
/// unsupported when there is none or it is of another version, peerDied when the rival says that
/// another rank is gone, system when it fails otherwise.
class Rival {
 public:
  /// Its own launcher started the ranks.
  explicit Rival(const std::string& name);
  /// ccbench started the ranks; they find each other through `communicator` (a collective call).
  Rival(const std::string& name, Communicator& communicator, int timeoutMs);
  Rival(const Rival&) = delete;
  Rival& operator=(const Rival&) = delete;
  /// Leaves the group. Only after a run that went well: with a rank missing, a rival would wait for
  /// it for ever, so a failing rank just ends, and the rival's launcher ends the others.
  void finish();

  const std::string& name() const { return name_; }
  const BaselineModule& module() const { return *module_; }
  /// Throws as above, with the rival's own words, when a call returned a failure.
  void check(int status, std::string_view what) const;

 private:
  std::string name_;
  const BaselineModule* module_ = nullptr;
};

/// Path of the module called `name`: where `cmake --install` puts it, seen from the program's
/// folder, else beside the program, whether it is there or not.
std::filesystem::path rivalModulePath(const std::string& name,
                                      const std::filesystem::path& programFolder);
/// The same for this program.
std::filesystem::path rivalModulePath(const std::string& name);

class RivalSubject final : public Subject {
 public:
  RivalSubject(const Rival& rival, std::size_t bytes);
  ~RivalSubject() override;
  RivalSubject(const RivalSubject&) = delete;
  RivalSubject& operator=(const RivalSubject&) = delete;

  const Contender& contender() const override { return contender_; }
  std::byte* in() override { return in_; }
  std::byte* out() override { return out_; }
  bool supports(const Task& task) const override;
  bool takes(Operation op, bool inPlace) const override;
  void run(const Task& task, const void* in, void* out) override;
  void barrier() override;
  PlanText plan(const Task&) const override { return {}; }
  CallBytes counters() const override { return {}; }

 private:
  const Rival& rival_;
  Contender contender_;
  std::byte* in_;
  std::byte* out_;
};

}  // namespace lockstep::bench
