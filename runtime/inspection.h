#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/config.h"

namespace flux {

/// A tensor whose shape or dtype is not what its config asks for.
struct Mismatch {
  std::string name;
  std::string found;     // "F32 [3, 4]"
  std::string expected;  // "[4, 3]", or what dtypes would do
};

/// What one component of a model folder holds, by its headers alone, or that its tokenizer can be loaded.
struct ComponentInspection {
  std::string name;
  std::string error;  // not empty: its files cannot be used, and nothing below is known
  int64_t tensors = 0;
  int64_t bytes = 0;
  std::map<std::string, int64_t> tensors_by_dtype;  // "BF16"
  std::vector<std::string> files;
  std::vector<std::string> missing;  // computed with, not there
  std::vector<std::string>
      unexpected;  // there, never used (parts that FLUX.1 has but text-to-image leaves alone are not)
  std::vector<Mismatch> mismatches;

  bool complete() const { return error.empty() && missing.empty() && mismatches.empty(); }
};

/// What a model folder holds and what it lacks.
struct Inspection {
  std::string folder;
  std::string family;  // "FLUX.1, guidance embedded as dev"
  std::vector<ComponentInspection> components;

  bool complete() const;
};

/// Reads headers and tokenizers, no weights. A component that cannot be used is reported; configs that cannot be are
/// thrown by ModelFolder.
Inspection inspect(const ModelFolder& folder);

/// For people: a table, then what is missing, by component, long lists cut short.
std::string as_text(const Inspection& inspection);

/// For programs: everything, as one JSON object.
std::string as_json(const Inspection& inspection);

}  // namespace flux
