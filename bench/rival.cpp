#include "bench/rival.hpp"

#include <algorithm>
#include <array>
#include <exception>

#include <dlfcn.h>

#include "base/fail.hpp"

namespace lockstep::bench {
namespace {

constexpr std::array<RivalKind, 3> kKinds{{{"mpi", "libopenmpi-dev openmpi-bin", false},
                                           {"gloo", "libgloo-dev", false},
                                           {"nccl", "", true}}};

template <class Enum>
std::uint8_t number(Enum value) {
  return static_cast<std::uint8_t>(value);
}

/// RTLD_NODELETE by never closing: MPI libraries do not survive being unloaded. RTLD_GLOBAL because
/// Open MPI's own plug-ins look their symbols up in the global scope.
const BaselineModule* openModule(const std::filesystem::path& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) fail(ErrorCode::unsupported, "cannot open the baseline: {}", dlerror());
  const auto entry = reinterpret_cast<BaselineEntry>(dlsym(library, kBaselineEntry));
  if (entry == nullptr) fail(ErrorCode::unsupported, "{} is no baseline of ccbench", path.string());
  const BaselineModule* module = entry();
  if (module->abi != kBaselineAbi)
    fail(ErrorCode::unsupported, "{} was built for another ccbench (interface {}, not {})",
         path.string(), module->abi, kBaselineAbi);
  return module;
}

/// Where a rival's ranks meet, and what went wrong there.
struct Meeting {
  Communicator& communicator;
  std::exception_ptr failure;
};

/// BaselineGroup::allGather, of a Meeting.
int gatherBytes(void* context, const void* mine, void* all, std::size_t bytes) {
  auto& meeting = *static_cast<Meeting*>(context);
  try {
    meeting.communicator.allGather(mine, all, bytes, DataType::u8);
    return 0;
  } catch (...) {  // the rival's frames are no place for an exception
    meeting.failure = std::current_exception();
    return 1;
  }
}

}  // namespace

std::span<const RivalKind> rivalKinds() {
  return kKinds;
}

void requireModule(const std::string& name) {
  const auto path = rivalModulePath(name);
  if (std::filesystem::exists(path)) return;
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(),
                                 [&](const RivalKind& k) { return k.name == name; });
  fail(ErrorCode::unsupported,
       "--baseline {} needs {}, which was not built; install what it needs (apt-get install {}) "
       "and build again (cmake --preset release && cmake --build --preset release)",
       name, path.string(), kind->packages);
}

std::filesystem::path rivalModulePath(const std::string& name,
                                      const std::filesystem::path& programFolder) {
  const std::string file = kBaselinePrefix + name + ".so";
  const auto installed = programFolder.parent_path() / "libexec" / "lockstep" / file;
  return std::filesystem::exists(installed) ? installed : programFolder / file;
}

std::filesystem::path rivalModulePath(const std::string& name) {
  return rivalModulePath(name, std::filesystem::read_symlink("/proc/self/exe").parent_path());
}

Rival::Rival(const std::string& name) : name_(name), module_(openModule(rivalModulePath(name))) {
  check(module_->init(nullptr), "its start");
}

Rival::Rival(const std::string& name, Communicator& communicator, int timeoutMs)
    : name_(name), module_(openModule(rivalModulePath(name))) {
  Meeting meeting{communicator, nullptr};
  const BaselineGroup group{communicator.rank(), communicator.worldSize(), timeoutMs, &meeting,
                            gatherBytes};
  const int status = module_->init(&group);
  if (meeting.failure) std::rethrow_exception(meeting.failure);
  check(status, "its start");
}

void Rival::finish() {
  check(module_->finalize(), "its end");
}

void Rival::check(int status, std::string_view what) const {
  if (status == 0) return;
  const ErrorCode code = status == kBaselinePeerGone  ? ErrorCode::peerDied
                         : status == kBaselineMissing ? ErrorCode::unsupported
                                                      : ErrorCode::system;
  fail(code, "{}: {} failed: {}", name_, what, module_->lastError());
}

RivalSubject::RivalSubject(const Rival& rival, std::size_t bytes)
    : rival_(rival),
      in_(static_cast<std::byte*>(rival.module().allocate(bytes + kGuardBytes))),
      out_(static_cast<std::byte*>(rival.module().allocate(bytes + kGuardBytes))) {
  if (in_ == nullptr || out_ == nullptr)
    fail(ErrorCode::system, "{} has no memory for two buffers of {} bytes; lower --maxbytes",
         rival.name(), bytes);
  contender_.name = rival.name();
  contender_.describe = rival.module().describe();
  contender_.provenance = "host";
  contender_.cipher = contender_.keySource = "none";
  contender_.rival = true;
}

RivalSubject::~RivalSubject() {
  rival_.module().deallocate(in_);
  rival_.module().deallocate(out_);
}

bool RivalSubject::supports(const Task& task) const {
  return rival_.module().supports(number(task.op), number(task.type), number(task.reduction)) != 0;
}

bool RivalSubject::takes(Operation op, bool inPlace) const {
  return rival_.module().takes(number(op), inPlace ? 1 : 0) != 0;
}

void RivalSubject::run(const Task& task, const void* in, void* out) {
  rival_.check(rival_.module().run(number(task.op), in, out, task.count, number(task.type),
                                   number(task.reduction), task.root),
               name(task.op));
}

void RivalSubject::barrier() {
  run({.op = Operation::barrier}, nullptr, nullptr);
}

}  // namespace lockstep::bench
