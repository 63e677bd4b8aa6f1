#include "runtime/options/help.h"

#include <map>
#include <stdexcept>

#include "runtime/options/option.h"

namespace flux {
namespace {

struct VerbText {
  std::string summary;
  std::string examples;
};

const std::map<std::string_view, VerbText>& verb_texts() {
  static const std::map<std::string_view, VerbText> texts = {
      {"generate",
       {"Draws one prompt (-p) or many (--prompts).",
        "  mpirun -q -n 3 flux-dist generate --config configs/demo.textproto\n"
        "  mpirun -q -n 5 flux-dist generate --model black-forest-labs/FLUX.1-dev -p \"a lighthouse at dusk\"\n"
        "  mpirun -q -n 7 flux-dist generate --model FLUX.1-schnell --prompts prompts.jsonl --replicas 3,3\n"
        "  head -5 prompts.txt | mpirun -q -n 3 flux-dist generate --model FLUX.1-dev --prompts - --seed 1\n"
        "\n"
        "--prompts: a line of text is a prompt; so is an object of JSON such as\n"
        "  {\"prompt\": \"a red circle\", \"seed\": 7, \"width\": 768}\n"
        "one a line, pretty-printed or in an array, which may hold texts too. JSON is told by its name (.json, "
        ".jsonl,\n"
        ".ndjson) or its first character. A bad line or object fails alone.\n"
        "\n"
        "--timeout: encoding or decoding a large picture counts as one step. Where that alone takes longer, as on CPUs "
        "or\n"
        "a card that is shared, raise it.\n"}},
      {"plan",
       {"Prints what goes on which rank and card, in bytes, and whether it fits. Touches no card.",
        "  flux-dist plan --model black-forest-labs/FLUX.1-dev --cards 16,16       # all that fits two 16 GB cards\n"
        "  flux-dist plan --model black-forest-labs/FLUX.1-dev --cards 24 --ranks 4\n"
        "  flux-dist plan --config configs/flux1-dev.textproto --json\n"}},
      {"inspect",
       {"Prints what a checkpoint holds and what is missing.",
        "  flux-dist inspect --model black-forest-labs/FLUX.1-dev\n"}},
      {"quantize",
       {"Writes a folder whose transformer and T5 are quantized as generate --quantize does it: half or a third to "
        "read.",
        "  flux-dist quantize --model black-forest-labs/FLUX.1-dev --quantize int8 --output-dir FLUX.1-dev-int8\n"
        "  mpirun -q -n 3 flux-dist generate --model FLUX.1-dev-int8 -p \"a lighthouse at dusk\"\n"
        "  flux-dist quantize --model FLUX.1-dev --quantize nf4 --for bitsandbytes --output-dir FLUX.1-dev-nf4\n"
        "\n"
        "The pictures are those of generate --quantize with the folder that it was made of, bit for bit. Where it is\n"
        "--for bitsandbytes diffusers reads it too, and T5's wo stays dense, the last layer not.\n"}},
      {"tokenize",
       {"Prints the token ids of a prompt as JSON, unpadded.",
        "  flux-dist tokenize --model FLUX.1-dev -p \"a cat\"\n"}},
      {"doctor",
       {"Prints one row a rank (host, card, driver, libraries), then what the links between ranks carry.",
        "  mpirun -q -n 4 --hostfile hosts flux-dist doctor\n"}},
      {"bench",
       {"Times a denoising step, other stages, gathers or whole pictures under load, and compares two such results.",
        "  flux-dist bench step --model FLUX.1-dev --random-weights\n"
        "  mpirun -q -n 2 flux-dist bench step --model black-forest-labs/FLUX.1-dev --json\n"
        "  flux-dist bench decode --model FLUX.1-dev --random-weights\n"
        "  flux-dist bench stages --model FLUX.1-dev --repetitions 5 -o md\n"
        "  mpirun -q -n 2 flux-dist bench comm --model FLUX.1-dev\n"
        "  mpirun -q -n 3 flux-dist bench throughput --model FLUX.1-dev --output-file a.jsonl --report a.html\n"
        "  mpirun -q -n 3 flux-dist bench throughput --model FLUX.1-dev --scenario server --request-rate 0.2,0.4,0.8\n"
        "  flux-dist bench compare a.jsonl b.jsonl\n"
        "\n"
        "step: beside its matrix products and attention alone (the floor). Every rank holds a part of the one "
        "transformer;\n"
        "nobody encodes or decodes.\n"
        "stages: what rank 0 does beside: it loads the encoders and the VAE (of the files, which the page cache may "
        "hold\n"
        "after the first time; not with --random-weights), encodes (T5, CLIP), modulates all steps, and decodes.\n"
        "comm: all_gather over the ranks as one replica, from 4 KiB to 64 MiB, and of a block's keys and values. "
        "Algorithm\n"
        "bandwidth counts all that is gathered, bus bandwidth what a rank gets from the others. No weights are read.\n"
        "throughput: the ranks of generate draw what a dataset asks for. A latency counts from when a request was to "
        "come,\n"
        "so that a program that is too slow shows in it, until its pictures are written, or dropped where there is no\n"
        "--output-dir.\n"
        "compare: candidate / baseline of each load that both files hold, with a 95 % confidence interval.\n"}},
  };
  return texts;
}

constexpr const char* sources_of_options =
    "Every option may also stand in a textproto (--config; height: 768, quantize: int8_weights) and in the "
    "environment\n"
    "(FLUX_DIST_HEIGHT=768; empty: not set). A flag wins over the environment, that over --config, that over\n"
    "the model's default. --print-config shows the result and where each value came from.\n";

constexpr const char* exit_codes =
    "Exit codes, the same on every rank:\n"
    "  0 done   1 some pictures failed, each named   2 the request or configuration is wrong\n"
    "  3 a rank failed or did not answer in time\n"
    "  75 drained (SIGUSR1): what was being drawn is finished, and `generate --resume` draws the rest\n";

const VerbText& text_of(std::string_view verb) {
  const auto found = verb_texts().find(verb);
  if (found == verb_texts().end()) throw std::logic_error("no help for the verb " + std::string(verb));
  return found->second;
}

}  // namespace

std::string help_of_program() {
  std::string text =
      "flux-dist draws pictures with FLUX.1, spread over several cards by mpirun or srun.\n\n"
      "Usage: [mpirun -n RANKS] flux-dist VERB [options]\n\n";
  for (const std::string& verb : all_verbs()) {
    text += "  " + verb + std::string(10 - verb.size(), ' ') + text_of(verb).summary + "\n";
  }
  return text + "\nflux-dist VERB --help lists the options of a verb; --version says which program this is.\n\n" +
         sources_of_options + "\n" + exit_codes;
}

std::string help_summary(std::string_view verb) { return text_of(verb).summary; }

std::string help_footer(std::string_view verb) {
  return "Examples:\n" + text_of(verb).examples + "\n" + sources_of_options + "\n" + exit_codes;
}

}  // namespace flux
