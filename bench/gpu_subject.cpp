#include "bench/gpu_subject.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/fail.hpp"

namespace lockstep::bench {
namespace {

cuda::DevicePtr addressOf(const std::byte* at) {
  return reinterpret_cast<cuda::DevicePtr>(at);  // NOLINT: a device's address
}

Contender describeMode(const Communicator& control, const DeviceCommunicator& device) {
  const Mode mode = control.options().mode;
  Contender contender;
  contender.name = name(mode);
  if (control.options().reproducible) contender.name += ", reproducible";
  contender.describe = fmt::format("Lockstep {}", version());
  contender.provenance = device.provenance();
  contender.sealed = isSealed(mode);
  contender.cipher = contender.sealed ? "AES-256-GCM in the kernels" : "none";
  contender.keySource = control.keySource();
  contender.ordinaryPath = "slots";
  contender.kernels = device.kernels();
  contender.multicast = device.multicastPath();
  return contender;
}

}  // namespace

GpuBuffers::GpuBuffers(int device, std::size_t bytes, bool onDevice)
    : context(cuda::PrimaryContext::retain(device)), host(bytes) {
  if (!onDevice) return;
  in = cuda::DeviceMemory::allocate(context, bytes + kGuardBytes);
  out = cuda::DeviceMemory::allocate(context, bytes + kGuardBytes);
}

StreamClock::StreamClock(const cuda::PrimaryContext& context)
    : first_(cuda::Event::create(context, cuda::Event::Timing::on)),
      last_(cuda::Event::create(context, cuda::Event::Timing::on)) {}

// ---- what is common to Lockstep and rivals ----

GpuSubject::GpuSubject(const RunConfig& config, std::shared_ptr<GpuBuffers> buffers,
                       std::size_t bytes)
    : graph_(config.graph), buffers_(std::move(buffers)), bytes_(bytes), clock_(context()) {
  use(buffers_->in.pointer<std::byte>(), buffers_->out.pointer<std::byte>());
}

void GpuSubject::use(std::byte* in, std::byte* out) {
  in_ = in;
  out_ = out;
}

std::byte* GpuSubject::hostOf(std::byte* at) {
  const bool isIn = at >= in_ && at < in_ + bytes_ + kGuardBytes;
  return isIn ? buffers_->host.in.data() + (at - in_) : buffers_->host.out.data() + (at - out_);
}

void GpuSubject::fetch(std::byte* at, std::size_t bytes) {
  cuda::copyToHost(context(), {hostOf(at), bytes}, addressOf(at));
}

void GpuSubject::store(std::byte* at, std::size_t bytes) {
  if (bytes > 0) cuda::copyToDevice(context(), addressOf(at), {hostOf(at), bytes});
}

void GpuSubject::run(const Task& task, const void* in, void* out) {
  prepare(in, out);
  if (launches()) enqueue(task, in, out, 1);
  finish();
}

/// The graph is made before the clock starts: it is made once and run often.
const cuda::GraphExec& GpuSubject::recorded(const Task& task, const void* in, void* out,
                                            std::int64_t calls) {
  const Recorded wanted{task.op, task.type, task.reduction, in, out, task.count, calls};
  if (recordedFor_ == wanted) return exec_;
  recordedFor_.reset();
  exec_ = cuda::GraphExec::instantiate(
      cuda::Graph::capture(context(), stream(), [&] { enqueue(task, in, out, calls); }));
  recordedFor_ = wanted;
  return exec_;
}

double GpuSubject::secondsPerCall(const Task& task, const void* in, void* out, std::int64_t calls) {
  prepare(in, out);
  if (graph_ && launches()) recorded(task, in, out, calls);
  barrier();
  if (!launches()) {
    finish();
    return 0;  // the slowest rank counts
  }
  lineUp();
  const auto work = [&] {
    if (graph_)
      exec_.launch(stream());
    else
      enqueue(task, in, out, calls);
  };
  return clock_.seconds(stream(), work, [&] { finish(); }) / static_cast<double>(calls);
}

double GpuSubject::copyRate() {
  constexpr std::size_t kBytes = std::size_t{128} << 20;  // more than any GPU's cache
  constexpr int kSpells = 5, kCopies = 4;
  const auto from = cuda::DeviceMemory::allocate(context(), kBytes);
  const auto to = cuda::DeviceMemory::allocate(context(), kBytes);
  cuda::zero(context(), from.address(), kBytes);
  const cuda::Current current(context());
  const auto copies = [&] {
    for (int i = 0; i < kCopies; ++i)
      cuda::check(cuda::driver().memcpyDtoDAsync(to.address(), from.address(), kBytes, stream()),
                  "copy {} bytes on GPU {}", kBytes, context().device());
  };
  double best = 0;
  for (int spell = 0; spell < kSpells; ++spell)
    best = std::max(best, 1 / clock_.seconds(stream(), copies, [&] {
      cuda::check(cuda::driver().streamSynchronize(stream()), "wait for copies");
    }));
  return best * kCopies * static_cast<double>(kBytes);
}

// ---- Lockstep ----

DeviceSubject::DeviceSubject(Communicator control, const RunConfig& config,
                             std::shared_ptr<GpuBuffers> buffers, std::size_t bytes,
                             std::shared_ptr<SideBySide> together)
    : GpuSubject(config, std::move(buffers), bytes),
      control_(std::move(control)),
      together_(std::move(together)),
      registered_(config.registered) {
  auto mine = DeviceCommunicator::create(control_, deviceOptions(config, control_.rank()));
  if (together_)
    shelve(std::move(mine));
  else
    communicator_ = &own_.emplace(std::move(mine));
  contender_ = describeMode(control_, *communicator_);
  if (!registered_) return;
  registeredIn_ = communicator_->alloc(bytes + kGuardBytes);
  registeredOut_ = communicator_->alloc(bytes + kGuardBytes);
  use(static_cast<std::byte*>(registeredIn_.data()),
      static_cast<std::byte*>(registeredOut_.data()));
}

/// Every rank parts with its own end, at the same time as the others.
DeviceSubject::~DeviceSubject() {
  if (together_ && communicator_ != nullptr) own_.emplace(std::move(*communicator_));
}

void DeviceSubject::shelve(DeviceCommunicator mine) {
  const auto rank = static_cast<std::size_t>(control_.rank());
  together_->arriving[rank] = std::move(mine);
  control_.barrier();
  if (rank == 0)
    for (auto& end : together_->arriving) together_->ends.push_back(std::move(*end));
  control_.barrier();
  communicator_ = &together_->ends[rank];
}

bool DeviceSubject::supports(const Task& task) const {
  return collectiveOf(task.op).has_value() || !together_;
}

cuda::StreamHandle DeviceSubject::stream() const {
  return static_cast<cuda::StreamHandle>(communicator_->stream());
}

void DeviceSubject::prepare(const void* in, void* out) {
  if (!together_) return;
  const auto rank = static_cast<std::size_t>(control_.rank());
  together_->ins[rank] = in;
  together_->outs[rank] = out;
  together_->factors[rank] = factorOf(control_.rank());
  control_.barrier();
}

void DeviceSubject::enqueue(const Task& task, const void* in, void* out, std::int64_t calls) {
  const auto collective = collectiveOf(task.op);
  for (std::int64_t i = 0; i < calls; ++i)
    if (!collective)
      transfer(task, static_cast<const std::byte*>(in), static_cast<std::byte*>(out));
    else if (together_)
      DeviceCommunicator::runTogether(together_->ends, *collective, together_->ins, together_->outs,
                                      task.count, task.type, task.reduction, task.root, stream(),
                                      together_->factors);
    else
      communicator_->run(*collective, in, out, task.count, task.type, task.reduction, task.root,
                         stream(), factorOf(control_.rank()));
}

void DeviceSubject::transfer(const Task& task, const std::byte* in, std::byte* out) {
  const int ranks = control_.worldSize(), rank = control_.rank();
  std::vector<Send> sends;
  std::vector<Receive> receives;
  if (task.op == Operation::sendRecv) {
    sends.push_back({in, task.count, task.type, (rank + 1) % ranks});
    receives.push_back({out, task.count, task.type, (rank + ranks - 1) % ranks});
  } else {
    const std::size_t block = task.count * sizeOf(task.type);
    for (int r = 0; r < ranks; ++r) {
      sends.push_back({in + static_cast<std::size_t>(r) * block, task.count, task.type, r});
      receives.push_back({out + static_cast<std::size_t>(r) * block, task.count, task.type, r});
    }
  }
  communicator_->exchange(sends, receives, stream());
}

/// One launch for all begins for all.
void DeviceSubject::lineUp() {
  if (!together_) communicator_->barrier(stream());
}

void DeviceSubject::finish() {
  if (launches()) communicator_->wait(stream());
  if (together_) control_.barrier();
}

PlanText DeviceSubject::plan(const Task& task) const {
  const bool inPlace = registered_ && task.reduction != Reduction::preMulSum;
  const Plan plan = communicator_->plan(*collectiveOf(task.op), task.count, task.type, inPlace);
  // How multicast is done is what tells its calls from those of p2p.
  const std::string transport = isMulticast(control_.options().mode)
                                    ? plan.transport + ", " + communicator_->multicastPath()
                                    : plan.transport;
  return {plan.algorithm, plan.protocol, transport, plan.tileBytes, plan.depth, plan.reason};
}

}  // namespace lockstep::bench
