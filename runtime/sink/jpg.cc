#include "runtime/sink/jpg.h"

#include <jpeglib.h>
#include <utf8proc.h>

#include <cstdio>  // jpeglib.h needs it first
#include <cstdlib>
#include <memory>
#include <stdexcept>

namespace flux {
namespace {

constexpr size_t kSegment = 65'000;  // bytes; a segment holds 65,533

void big_endian(std::string& bytes, uint32_t value, uint32_t count) {
  for (uint32_t shift = 8 * count; shift > 0; shift -= 8) bytes += static_cast<char>(value >> (shift - 8) & 0xffU);
}

/// Not longer than the segment allows.
std::string utf16(const std::string& text) {
  std::string result;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (size_t i = 0; i < text.size() && result.size() < kSegment;) {
    utf8proc_int32_t code = -1;
    const auto length = utf8proc_iterate(bytes + i, static_cast<utf8proc_ssize_t>(text.size() - i), &code);
    i += length > 0 ? static_cast<size_t>(length) : 1;
    if (code < 0) code = 0xfffd;
    const auto point = static_cast<uint32_t>(code);
    if (point < 0x10000U) {
      big_endian(result, point, 2);
    } else {
      big_endian(result, 0xd800U + ((point - 0x10000U) >> 10U), 2);
      big_endian(result, 0xdc00U + ((point - 0x10000U) & 0x3ffU), 2);
    }
  }
  return result;
}

/// An Exif segment that holds nothing but UserComment: a TIFF of two directories with one entry each.
std::string exif(const std::string& parameters) {
  const std::string comment = std::string("UNICODE\0", 8) + utf16(parameters);
  std::string tiff("MM\0\x2a\0\0\0\x08", 8);
  const auto directory = [&](uint32_t tag, uint32_t type, uint32_t count, uint32_t value) {
    big_endian(tiff, 1, 2);
    big_endian(tiff, tag, 2);
    big_endian(tiff, type, 2);
    big_endian(tiff, count, 4);
    big_endian(tiff, value, 4);
    big_endian(tiff, 0, 4);  // no further directory
  };
  directory(0x8769, 4, 1, 26);                                      // the Exif directory begins at byte 26
  directory(0x9286, 7, static_cast<uint32_t>(comment.size()), 44);  // UserComment at byte 44
  return std::string("Exif\0\0", 6) + tiff + comment;
}

[[noreturn]] void fail(j_common_ptr compression) {
  char message[JMSG_LENGTH_MAX];
  compression->err->format_message(compression, message);
  throw std::runtime_error(std::string("libjpeg: ") + message);
}

struct JpgWriter {
  JpgWriter() {
    state.err = jpeg_std_error(&errors);
    errors.error_exit = fail;
    jpeg_create_compress(&state);
    jpeg_mem_dest(&state, &bytes, &size);
  }
  ~JpgWriter() {
    jpeg_destroy_compress(&state);
    const std::unique_ptr<unsigned char, decltype(&std::free)> freed(bytes, &std::free);  // jpeg_mem_dest allocated it
  }
  JpgWriter(const JpgWriter&) = delete;
  JpgWriter& operator=(const JpgWriter&) = delete;

  jpeg_compress_struct state{};
  jpeg_error_mgr errors{};
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
};

void marker(JpgWriter& writer, int kind, const std::string& content) {
  jpeg_write_marker(&writer.state, kind, reinterpret_cast<const JOCTET*>(content.data()),
                    static_cast<unsigned>(content.size()));
}

}  // namespace

std::string jpg(const Image& image, const std::string& parameters, const std::string& comment) {
  const at::Tensor rgb = image.rgb.contiguous();
  JpgWriter writer;
  writer.state.image_height = static_cast<JDIMENSION>(rgb.size(0));
  writer.state.image_width = static_cast<JDIMENSION>(rgb.size(1));
  writer.state.input_components = 3;
  writer.state.in_color_space = JCS_RGB;
  jpeg_set_defaults(&writer.state);
  jpeg_set_quality(&writer.state, 95, TRUE);
  writer.state.comp_info[0].h_samp_factor = writer.state.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&writer.state, TRUE);
  marker(writer, JPEG_APP0 + 1, exif(parameters));
  marker(writer, JPEG_COM, comment.substr(0, kSegment));
  while (writer.state.next_scanline < writer.state.image_height) {
    JSAMPROW row =
        rgb.data_ptr<uint8_t>() + static_cast<size_t>(writer.state.next_scanline) * writer.state.image_width * 3;
    jpeg_write_scanlines(&writer.state, &row, 1);
  }
  jpeg_finish_compress(&writer.state);
  return {reinterpret_cast<const char*>(writer.bytes), writer.size};
}

}  // namespace flux
