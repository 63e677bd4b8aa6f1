#include "runtime/sink/gallery.h"

#include <algorithm>
#include <sstream>

#include "model/dtype_name.h"
#include "runtime/sink/html_text.h"

namespace flux {
namespace {

constexpr size_t kOnePart = 100;

// The part that the address names is shown; the first one, which is last in the page, when it names none. Paper shows
// all, in their order.
constexpr const char* kGalleryStyle = R"(
body { margin: 2rem; background: #16181d; color: #e6e6e6; font: 15px/1.4 system-ui, sans-serif; }
a { color: #9ecbff; }
nav { display: flex; flex-wrap: wrap; gap: .3rem .8rem; margin-bottom: 1rem; }
section { display: none; }
section:target, #part1 { display: block; }
section:target ~ #part1 { display: none; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1.2rem; }
figure { margin: 0; }
img { width: 100%; height: auto; border-radius: 4px; image-rendering: auto; background: #000; }
figcaption { overflow-wrap: anywhere; }
small { color: #9a9a9a; }
.failed { color: #ff9e9e; }
@media print {
  body { display: flex; flex-direction: column; background: none; color: #000; }
  a, small { color: #333; }
  .failed { color: #a00; }
  nav { display: none; }
  section, section:target ~ #part1 { display: block; order: 2; }
  #part1 { order: 1; }
  figure { break-inside: avoid; }
}
)";

void figure(std::ostream& html, const Record& record) {
  const Prompt prompt = record.prompt.value_or(Prompt{});
  html << "<figure>";
  if (record.drawn())
    html << "<a href=\"" << record.file << "\"><img loading=\"lazy\" src=\"" << record.file << "\" width=\""
         << prompt.picture.width << "\" height=\"" << prompt.picture.height << "\" alt=\"" << html_text(prompt.prompt)
         << "\"></a>";
  html << "<figcaption>" << html_text(prompt.prompt) << "<br><small>" << record.picture << " &middot; ";
  if (record.drawn())
    html << "seed " << prompt.picture.seed << " &middot; " << prompt.picture.width << " x " << prompt.picture.height
         << " &middot; " << prompt.num_inference_steps << " steps &middot; guidance " << prompt.guidance_scale;
  else
    html << "<span class=\"failed\">" << html_text(record.error) << "</span>";
  html << "</small></figcaption></figure>\n";
}

}  // namespace

std::string gallery(const std::vector<Record>& records, const RunFacts& facts) {
  const size_t parts = std::max<size_t>(1, (records.size() + kOnePart - 1) / kOnePart);
  std::ostringstream html;
  html << "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>flux-dist</title>"
       << "<meta name=\"viewport\" content=\"width=device-width\"><style>" << kGalleryStyle
       << "</style></head><body>\n<h1>" << records.size() << (records.size() == 1 ? " picture" : " pictures")
       << "</h1><p>" << html_text(facts.model) << ", " << dtype_name(facts.placement.dtype) << "</p>\n";
  if (parts > 1) {
    html << "<nav>";
    for (size_t part = 1; part <= parts; ++part) html << "<a href=\"#part" << part << "\">" << part << "</a>";
    html << "</nav>\n";
  }
  const auto section = [&](size_t part) {
    html << "<section id=\"part" << part + 1 << "\"><div class=\"pictures\">\n";
    for (size_t i = part * kOnePart; i < std::min(records.size(), (part + 1) * kOnePart); ++i) figure(html, records[i]);
    html << "</div></section>\n";
  };
  for (size_t part = 1; part < parts; ++part) section(part);
  section(0);
  html << "</body></html>\n";
  return html.str();
}

}  // namespace flux
