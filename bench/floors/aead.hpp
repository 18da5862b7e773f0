// What our AEAD interface costs over the libraries behind it, and what the mandated copies cost.
#pragma once

#include <nlohmann/json.hpp>

namespace lockstep::floors {

/// Measures on this thread, prints the table and returns it. For each library, records of 64 B to
/// 64 KiB, hot (one record, in the caches) and streaming (256 MiB of them), in turn, `samples`
/// times: the raw library, ours, and ours with the copy across the trust boundary. All must give
/// the same bytes before they are timed; throws internal if they do not.
nlohmann::json reportAead(int samples);

}  // namespace lockstep::floors
