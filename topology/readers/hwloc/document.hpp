// hwloc's XML as a tree, after a look at whether it can be walked in bounded time and memory.
#pragma once

#include <string>
#include <string_view>

#include <pugixml.hpp>

#include "topology/readers/reader.hpp"

namespace lockstep::topology::hwloc_xml {

class Document {
 public:
  /// Elements of a file; the largest machines that hwloc has recorded have some 50,000.
  static constexpr std::size_t kMostElements = 500'000;
  /// Elements within elements; a core of a large machine is 12 deep, a device behind many switches
  /// 20.
  static constexpr std::size_t kMostDepth = 100;

  /// Throws Error(invalidArgument) "SOURCE:LINE: ..." where it is not well formed or beyond limits.
  Document(std::string_view text, const std::string& source);

  /// <topology>
  pugi::xml_node root() const { return tree_.document_element(); }
  /// From 1.
  int lineOf(const pugi::xml_node& node) const;
  /// Throws Error(invalidArgument) "SOURCE:LINE: what".
  [[noreturn]] void refuse(const pugi::xml_node& where, std::string_view what) const;
  /// Of no element: of the whole. Beyond kMostRemarks only counts; finish() says how many.
  void remark(const pugi::xml_node& where, std::string text);
  std::vector<Remark> finish();

 private:
  void checkDepth() const;

  std::string_view text_;
  const std::string& source_;
  pugi::xml_document tree_;
  std::vector<Remark> remarks_;
  std::size_t unsaid_ = 0;
};

/// The one after `node` in the order of the text, within `root`; null after the last.
pugi::xml_node next(const pugi::xml_node& root, pugi::xml_node node);

}  // namespace lockstep::topology::hwloc_xml
