#include <nlohmann/json.hpp>

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "model/files/printable.h"
#include "runtime/inspection.h"

namespace flux {
namespace {

constexpr size_t longest_line = 1000;

std::string size_text(int64_t bytes) {
  std::ostringstream text;
  const bool large = bytes >= int64_t{1} << 30;
  text << std::fixed << std::setprecision(2) << static_cast<double>(bytes) / (large ? 1 << 30 : 1 << 20)
       << (large ? " GiB" : " MiB");
  return text.str();
}

std::string dtypes_text(const ComponentInspection& component) {
  if (component.tensors_by_dtype.size() == 1) return component.tensors_by_dtype.begin()->first;
  std::string text;
  for (const auto& [dtype, tensors] : component.tensors_by_dtype) {
    text += (text.empty() ? "" : ", ") + dtype + " (" + std::to_string(tensors) + ")";
  }
  return printable_line(text);
}

void print_row(std::ostream& out, const ComponentInspection& component) {
  out << "  " << std::left << std::setw(16) << component.name;
  if (!component.error.empty()) {
    out << "unusable\n";
    return;
  }
  const std::string files = std::to_string(component.files.size()) + (component.files.size() == 1 ? " file" : " files");
  out << std::right << std::setw(12) << size_text(component.bytes) << "  " << std::left << std::setw(10) << files;
  if (component.tensors > 0) out << component.tensors << " tensors, " << dtypes_text(component);
  out << (component.complete() ? "\n" : "  incomplete\n");
}

void print_lines(std::ostream& out, const std::string& component, const std::string& kind,
                 const std::vector<std::string>& lines) {
  constexpr size_t shown = 20;
  for (size_t i = 0; i < std::min(lines.size(), shown); ++i)
    out << component << ": " << kind << " " << lines[i] << "\n";
  if (lines.size() > shown) {
    out << component << ": " << kind << " " << lines.size() - shown << " more (all of them with --json)\n";
  }
}

std::vector<std::string> quoted_names(const std::vector<std::string>& names) {
  std::vector<std::string> lines;
  lines.reserve(names.size());
  for (const std::string& name : names) lines.push_back(quoted_name(name));
  return lines;
}

}  // namespace

std::string as_text(const Inspection& inspection) {
  std::ostringstream out;
  out << printable_line(inspection.folder, longest_line) << ": " << inspection.family << "\n";
  for (const ComponentInspection& component : inspection.components) print_row(out, component);
  for (const ComponentInspection& component : inspection.components) {
    if (!component.error.empty())
      out << component.name << ": " << printable_line(component.error, longest_line) << "\n";
    print_lines(out, component.name, "missing", quoted_names(component.missing));
    std::vector<std::string> mismatches;
    mismatches.reserve(component.mismatches.size());
    for (const auto& [name, found, expected] : component.mismatches) {
      mismatches.push_back(quoted_name(name).append(" is ").append(found).append(", not ").append(expected));
    }
    print_lines(out, component.name, "wrong", mismatches);
    print_lines(out, component.name, "unused", quoted_names(component.unexpected));
  }
  out << (inspection.complete() ? "complete\n" : "not complete: pictures cannot be drawn with it\n");
  return out.str();
}

std::string as_json(const Inspection& inspection) {
  nlohmann::ordered_json components = nlohmann::ordered_json::array();
  for (const ComponentInspection& component : inspection.components) {
    nlohmann::ordered_json mismatches = nlohmann::ordered_json::array();
    for (const auto& [name, found, expected] : component.mismatches) {
      mismatches.push_back({{"name", name}, {"found", found}, {"expected", expected}});
    }
    components.push_back({{"name", component.name},
                          {"complete", component.complete()},
                          {"error", component.error},
                          {"tensors", component.tensors},
                          {"bytes", component.bytes},
                          {"tensors_by_dtype", component.tensors_by_dtype},
                          {"files", component.files},
                          {"missing", component.missing},
                          {"unexpected", component.unexpected},
                          {"mismatches", mismatches}});
  }
  const nlohmann::ordered_json json = {{"folder", inspection.folder},
                                       {"family", inspection.family},
                                       {"complete", inspection.complete()},
                                       {"components", components}};
  constexpr int indent = 2;
  return json.dump(indent, ' ', /*ensure_ascii=*/true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace flux
