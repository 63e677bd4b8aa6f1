#include "runtime/bench/forms.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

const Json heading = {{"program", "1.0"}, {"driver", ""}, {"repetitions", 3}};
const std::vector<Json> rows = {{{"stage", "encode"}, {"median_ms", 12.3456}},
                                {{"stage", "a \"load\", of|one"}, {"median_ms", 2512.34}, {"bytes", 1234567}}};

TEST(Forms, MarkdownIsATableOfTheRowsBelowTheHeading) {
  EXPECT_EQ(as_markdown(heading, rows),
            "program 1.0, repetitions 3\n\n"
            "| stage | median_ms | bytes |\n"
            "| --- | --- | --- |\n"
            "| encode | 12.35 |  |\n"
            "| a \"load\", of\\|one | 2512 | 1234567 |\n");
}

TEST(Forms, CsvHasTheHeadingInEveryRowAndQuotesWhatItMust) {
  EXPECT_EQ(as_csv(heading, rows),
            "program,driver,repetitions,stage,median_ms,bytes\n"
            "1.0,,3,encode,12.3456,\n"
            "1.0,,3,\"a \"\"load\"\", of|one\",2512.34,1234567\n");
}

TEST(Forms, JsonLinesAreObjectsWithTheHeading) {
  const std::string text = as_json_lines(heading, rows);
  const size_t end = text.find('\n');
  EXPECT_EQ(
      Json::parse(text.substr(0, end)),
      Json({{"program", "1.0"}, {"driver", ""}, {"repetitions", 3}, {"stage", "encode"}, {"median_ms", 12.3456}}));
  const Json second = Json::parse(text.substr(end + 1));
  EXPECT_EQ(second["repetitions"], 3);
  EXPECT_EQ(second["bytes"], 1234567);
}

TEST(Forms, ARowsOwnValueCountsBeforeTheHeadings) {
  const std::vector<Json> one = {{{"repetitions", 1}}};
  EXPECT_EQ(as_csv(heading, one), "program,driver,repetitions\n1.0,,1\n");
}

}  // namespace
}  // namespace flux
