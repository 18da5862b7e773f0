// Any bytes as NCCL's topology XML: an inventory that is sound and can be written and read again,
// or an Error that names the source.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include "topology/readers/reader.hpp"
#include "topology/writers/nccl_xml.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

inline const topology::Reader& ncclXmlReader() {
  for (const topology::Reader* reader : topology::allReaders())
    if (reader->name == "NCCL topology XML") return *reader;
  std::abort();
}

/// True where it was read.
inline bool ncclXml(std::string_view text) {
  using topology::Inventory;
  const topology::Reader& reader = ncclXmlReader();
  reader.recognises(text);
  topology::Reading reading;
  try {
    reading = reader.read(text, "fuzz");
  } catch (const Error& error) {
    const bool named = std::string_view(error.what()).starts_with("fuzz:");
    if (!named || error.code() != ErrorCode::invalidArgument) std::abort();
    return false;
  }
  if (reading.remarks.size() > topology::kMostRemarks) std::abort();
  topology::requireSound(reading.inventory);
  const std::string written = writeNcclXml(reading.inventory);
  if (!reader.recognises(written)) std::abort();
  const Inventory again = reader.read(written, "written").inventory;
  if (again != reading.inventory || writeNcclXml(again) != written) std::abort();
  return true;
}

}  // namespace lockstep::fuzz
