#pragma once

// What the command line, environment and --config say, as plain structs. options.proto is the one list of options;
// option_parser turns it into these.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/context_parallel.h"
#include "model/format.h"
#include "model/request.h"
#include "model/residency.h"

namespace flux {

enum class DeviceChoice { automatic, cpu, cuda };
enum class DtypeChoice { automatic, fp32, bf16, fp16 };
enum class TransportChoice { automatic, mpi, nccl };
enum class ImageFormat { png, jpg };
enum class ProgressStyle { automatic, bar, lines, none };

/// What --quantize and the like say; absent: auto.
struct FormatChoices {
  std::optional<Format> transformer{}, text_encoder{}, modulation{};
  Format exchange = Format::dense, attention = Format::dense;

  /// `transformer_else`: where the transformer's is left open. The others follow it: their products have few rows, and
  /// weights alone lose less; in 4 bits, fp8-weights or int8-outliers only
  /// where that is said of them.
  Formats resolved(Format transformer_else) const {
    const Format chosen = transformer.value_or(transformer_else);
    const Format followed = chosen == Format::dense ? Format::dense : Format::int8_weights;
    const Format text = text_encoder.value_or(followed);
    const bool apart = is_four_bit(text) || text == Format::fp8_weights || text == Format::int8_outliers;
    return {chosen, text, modulation.value_or(apart ? followed : text), exchange, attention};
  }
};

/// Which ranks hold the VAE: the encoders, or the first of each replica, for what it draws itself.
enum class DecodeOn { encoder, replica };

/// Who is to read a folder that was quantized: nobody else, or bitsandbytes under diffusers too.
enum class QuantizeFor { flux_dist, bitsandbytes };

/// What ranks are shared out for, as far as no other option says: one picture, many of them, or those of the run.
enum class Optimize { automatic, latency, throughput };

/// Milliseconds that a step took on one card, by its model.
using CardSteps = std::map<std::string, double>;

/// Who computes what.
struct PlacementOptions {
  DeviceChoice device = DeviceChoice::automatic;
  DtypeChoice dtype = DtypeChoice::automatic;
  FormatChoices formats{};
  std::optional<ContextParallel> context_parallel{};  // absent: exchange.h chooses
  std::optional<Residency> encoder_residency{};       // absent: streamed where nothing else fits
  int64_t memory_limit = 0;                           // bytes of each card; 0: all of it
  TransportChoice transport = TransportChoice::automatic;
  std::vector<int> replicas{};             // one value: how many; several: the ranks of each. Empty: replica_choice.h
  std::optional<int> ranks_per_replica{};  // absent: from the world
  Optimize optimize = Optimize::automatic;
  std::vector<int64_t> shares{};     // of a picture, one for each rank of a replica; empty: even
  CardSteps card_steps{};            // that shares follow instead (card_steps.h); empty: none
  std::optional<int> encoders{};     // ranks, in a world of several; absent: replica_choice.h, or 1
  std::optional<DecodeOn> decode{};  // absent: replica_choice.h, or the encoders
};

/// Of a run that several jobs draw: every of-th request, from the number-th on.
struct Part {
  int64_t number = 1, of = 1;

  bool whole() const { return of == 1; }
  bool has(int64_t request) const { return request % of == number - 1; }
};

/// What is to become of the run that the output folder holds.
enum class Previous { refuse, overwrite, resume };

struct OutputOptions {
  std::filesystem::path folder;
  std::optional<ImageFormat> format{};  // absent: that of the run that is resumed, else png
  Previous previous = Previous::refuse;
  bool allow_changes = false;  // to resume where the pictures' bits may not be the same
  Part part{};                 // its folder lies in the one of all parts
};

/// Of a part's folder: part-3-of-8.
std::string part_name(const Part& part);

struct OperationOptions {
  std::chrono::milliseconds timeout{60'000};
  std::chrono::milliseconds startup_timeout{600'000};
  int threads = 0;  // 0: cores / ranks on the host
  ProgressStyle progress = ProgressStyle::automatic;
  std::string log_level = "info";
  std::filesystem::path log_folder;      // empty: stderr only
  std::filesystem::path metrics_file{};  // empty: none
  std::string metrics_address{};         // port or host:port; empty: none
  bool json = false;
};

}  // namespace flux
