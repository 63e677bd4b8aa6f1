#include "model/files/printable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flux {
namespace {

const std::string family = "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7";           // woman, zero width joiner, girl
const std::string persian = "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xb1\xd9\x88\xd9\x85";  // with a zero width non-joiner
const std::string right_to_left = "\xe2\x80\xae";                                    // U+202E

TEST(PrintableLine, IsOneLineThatMovesNothing) {
  EXPECT_EQ(printable_line("a\x1b[31m\x07 b\nc\td\x7f"), "a?[31m? b c d?");
  EXPECT_EQ(printable_line(right_to_left + "\xff\xc3"), "???");
  EXPECT_EQ(printable_line("\xc2\x9b"
                           "31m\xc2\x85\xe2\x80\xa8\xe2\x80\xa9|\xe2\x80\x8e"),
            "?31m???|?");  // C1, next line, separators, a direction mark
  for (const char* isolate : {"\xe2\x80\xaa", "\xe2\x80\xab", "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x81\xa6",
                              "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9"}) {
    EXPECT_EQ(printable_line(isolate), "?");
  }
  EXPECT_EQ(printable_line("a\xed\xa0\x80"), "a???") << "a surrogate is no character";
}

TEST(PrintableLine, LeavesTextAsPeopleWriteIt) {
  for (const std::string& text : {std::string("a cat \xf0\x9f\x90\x88 \xc3\xa9"), family, persian,
                                  std::string("\xf0\x9f\x8f\xb4\xf3\xa0\x81\xa7\xf3\xa0\x81\xbf"),  // a flag of tags
                                  std::string("\xe2\x9d\xa4\xef\xb8\x8f"), std::string("\xd8\x80 \xdb\x9d")}) {
    EXPECT_EQ(printable_line(text), text);
    EXPECT_EQ(quoted_name(text), "'" + text + "'");
  }
}

TEST(PrintableLine, IsCutBetweenCharacters) {
  EXPECT_EQ(printable_line(std::string(300, 'x'), 5), "xxxxx...");
  EXPECT_EQ(printable_line("\xc3\xa9\xc3\xa9\xc3\xa9", 2), "\xc3\xa9\xc3\xa9...");
  EXPECT_EQ(printable_line("\xc3\xa9\xc3\xa9", 2), "\xc3\xa9\xc3\xa9");
}

TEST(QuotedName, TellsNamesApartThatLookAlike) {
  EXPECT_EQ(quoted_name("block.0.weight"), "'block.0.weight'");
  EXPECT_EQ(quoted_name("\x1b[2J\n"), "'\\x1b[2J\\x0a'");
  EXPECT_EQ(quoted_name(right_to_left + "\xff"), "'\\xe2\\x80\\xae\\xff'");
  EXPECT_EQ(quoted_name("' is fine; '\\x1b"), "'\\x27 is fine; \\x27\\x5cx1b'") << "no name ends its own quotes";
  EXPECT_EQ(quoted_name(std::string(1000, 'x')), "'" + std::string(120, 'x') + "...'");
}

TEST(ValidUtf8, ReplacesByteByByte) {
  EXPECT_TRUE(is_utf8(family));
  EXPECT_FALSE(is_utf8("a\xff"));
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));
  EXPECT_EQ(valid_utf8("a\xff\xf0\x9f"), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(valid_utf8(family), family);
}

}  // namespace
}  // namespace flux
