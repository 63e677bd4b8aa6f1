#include "runtime/sink/png.h"

#include <png.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

namespace flux {
namespace {

void append(png_structp file, png_bytep bytes, size_t count) {
  static_cast<std::string*>(png_get_io_ptr(file))->append(reinterpret_cast<const char*>(bytes), count);
}

// libpng is C and may be built without unwind tables, yet Debian's, Ubuntu's and conda's unwind: the error handler may
// not return, and an exception keeps our objects' destructors.
[[noreturn]] void fail(png_structp, png_const_charp what) { throw std::runtime_error(std::string("libpng: ") + what); }

struct PngWriter {
  PngWriter() : file(png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, fail, nullptr)) {
    if (file) info = png_create_info_struct(file);
    if (!info) throw std::bad_alloc();
  }
  ~PngWriter() { png_destroy_write_struct(&file, &info); }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;

  png_structp file = nullptr;
  png_infop info = nullptr;
};

}  // namespace

std::string png(const Image& image, const std::vector<std::pair<std::string, std::string>>& texts) {
  const at::Tensor rgb = image.rgb.contiguous();
  const auto height = static_cast<png_uint_32>(rgb.size(0)), width = static_cast<png_uint_32>(rgb.size(1));
  std::string bytes;
  PngWriter writer;
  png_set_write_fn(writer.file, &bytes, append, nullptr);
  png_set_IHDR(writer.file, writer.info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);

  std::vector<std::pair<std::string, std::string>> kept = texts;  // libpng wants them writable
  std::vector<png_text> chunks(kept.size(), png_text{});
  for (size_t i = 0; i < kept.size(); ++i) {
    std::replace(kept[i].second.begin(), kept[i].second.end(), '\0', ' ');
    chunks[i].compression = PNG_ITXT_COMPRESSION_NONE;
    chunks[i].key = kept[i].first.data();
    chunks[i].text = kept[i].second.data();
  }
  png_set_text(writer.file, writer.info, chunks.data(), static_cast<int>(chunks.size()));

  png_write_info(writer.file, writer.info);
  for (png_uint_32 row = 0; row < height; ++row)
    png_write_row(writer.file, rgb.data_ptr<uint8_t>() + static_cast<size_t>(row) * width * 3);
  png_write_end(writer.file, writer.info);
  return bytes;
}

}  // namespace flux
