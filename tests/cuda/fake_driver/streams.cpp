#include "cuda/fake_driver/streams.hpp"

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/captures.hpp"

namespace lockstep::cuda::fake {
namespace {

Table<StreamHandle, Stream>& streams() {
  static auto* const all = new Table<StreamHandle, Stream>(2);
  return *all;
}

std::shared_ptr<Stream> defaultStreamOf(const std::shared_ptr<Context>& context) {
  const std::lock_guard lock(context->mutex);
  if (context->defaultStream == nullptr)
    context->defaultStream = std::make_shared<Stream>(context, true);
  return context->defaultStream;
}

std::vector<std::shared_ptr<Stream>> streamsOf(Context& context) {
  const std::lock_guard lock(context.mutex);
  std::vector<std::shared_ptr<Stream>> all;
  if (context.defaultStream != nullptr) all.push_back(context.defaultStream);
  for (const auto& weak : context.streams)
    if (auto stream = weak.lock()) all.push_back(std::move(stream));
  return all;
}

bool isDefault(const Stream& stream) {
  const std::lock_guard lock(stream.context->mutex);
  return stream.context->defaultStream.get() == &stream;
}

/// The default stream runs after what is in the blocking streams, and they after what is in it.
std::vector<Queue::Place> legacyOrder(const Stream& stream) {
  if (!stream.blocking) return {};
  const bool mine = isDefault(stream);
  std::vector<Queue::Place> places;
  for (const auto& other : streamsOf(*stream.context))
    if (other.get() != &stream && other->blocking && (mine || isDefault(*other)))
      places.push_back(other->queue->last());
  return places;
}

}  // namespace

bool Queue::Place::reached() const {
  if (queue == nullptr) return true;
  const std::lock_guard lock(queue->mutex_);
  return queue->done_ >= number;
}

void Queue::Place::wait() const {
  if (queue == nullptr) return;
  std::unique_lock lock(queue->mutex_);
  queue->changed_.wait(lock, [&] { return queue->done_ >= number; });
}

Queue::Place Queue::push(Work work, std::vector<Place> after) {
  const std::lock_guard lock(mutex_);
  if (!started_) std::thread([self = shared_from_this()] { self->run(); }).detach();
  started_ = true;
  items_.push_back({std::move(work), std::move(after)});
  changed_.notify_all();
  return {shared_from_this(), ++pushed_};
}

Queue::Place Queue::last() {
  const std::lock_guard lock(mutex_);
  return {shared_from_this(), pushed_};
}

void Queue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void Queue::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return;
    {
      const Item item = std::move(items_.front());
      items_.pop_front();
      lock.unlock();
      for (const Place& place : item.after) place.wait();
      item.work();
    }  // what the work held goes before it counts as done
    lock.lock();
    ++done_;
    changed_.notify_all();
  }
}

std::shared_ptr<Stream> find(StreamHandle handle) {
  auto stream = handle == nullptr ? defaultStreamOf(currentContext()) : streams().get(handle);
  requireAlive(*stream->context);
  return stream;
}

Queue::Place enqueue(const std::shared_ptr<Stream>& stream, Work work,
                     std::vector<Queue::Place> after) {
  for (auto& place : legacyOrder(*stream)) after.push_back(std::move(place));
  return stream->queue->push(std::move(work), std::move(after));
}

Queue::Place submit(const std::shared_ptr<Stream>& stream, Work work) {
  refuseImplicit(*stream, isDefault(*stream));
  if (captured(stream, work)) return {};
  return enqueue(stream, std::move(work));
}

void synchronize(Context& context) {
  for (const auto& stream : streamsOf(context)) stream->queue->last().wait();
}

std::size_t streamsAlive() {
  return streams().size();
}

void streamCreate(StreamHandle* handle, unsigned flags) {
  require(handle != nullptr && (flags & ~kStreamNonBlocking) == 0);
  const auto context = currentContext();
  auto stream = std::make_shared<Stream>(context, flags != kStreamNonBlocking);
  {
    const std::lock_guard lock(context->mutex);
    std::erase_if(context->streams, [](const auto& weak) { return weak.expired(); });
    context->streams.push_back(stream);
  }
  *handle = streams().add(std::move(stream));
}

void streamDestroy(StreamHandle handle) {
  const auto stream = streams().get(handle);
  requireAlive(*stream->context);
  streams().take(handle);
  leaveCapture(*stream);
  stream->queue->close();
}

void streamSynchronize(StreamHandle handle) {
  const auto stream = find(handle);
  refuseIfCapturing(*stream);
  stream->queue->last().wait();
}

void streamQuery(StreamHandle handle) {
  const auto stream = find(handle);
  refuseIfCapturing(*stream);
  require(stream->queue->last().reached(), Result::notReady);
}

}  // namespace lockstep::cuda::fake
