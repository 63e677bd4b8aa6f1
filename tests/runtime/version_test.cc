#include "runtime/version.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "built_with.h"

namespace flux {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

TEST(Version, NamesTheCommitAndEveryLibrary) {
  const Versions& known = versions();
  EXPECT_THAT(known.program, MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(known.revision, testing::AnyOf("unknown", MatchesRegex("[0-9a-f]{12}(-dirty)?")));
  EXPECT_THAT(known.libraries.torch, MatchesRegex("2\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(known.libraries.mpi, MatchesRegex("Open MPI v[0-9.]+"));
  EXPECT_THAT(known.protobuf, MatchesRegex("[0-9.]+"));
  for (const std::string& release :
       {known.libraries.cuda, known.libraries.cublas, known.libraries.cudnn, known.libraries.nccl})
    EXPECT_THAT(release, MatchesRegex(FLUX_CUDA ? "[0-9]+(\\.[0-9]+)+" : ""));
}

TEST(Version, IsPrintedWithAllOfIt) {
  const Versions& known = versions();
  for (const std::string& part :
       {known.program, known.revision, known.libraries.torch, known.libraries.mpi, known.libraries.cuda,
        known.libraries.cublas, known.libraries.cudnn, known.libraries.nccl, known.protobuf, known.driver})
    EXPECT_THAT(version_text(), HasSubstr(part));
}

}  // namespace
}  // namespace flux
