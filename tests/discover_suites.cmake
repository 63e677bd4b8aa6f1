# Included by ctest for one test program (`program`, `name`, `sources`, `sanitized`, `python`, `reference_dir`,
# `environment`): one test for every gtest suite, after the references where the room's sources name any.
if(NOT EXISTS ${program})
  add_test(${name}.not_built "${program}")
  return()
endif()
execute_process(COMMAND ${program} --gtest_list_tests OUTPUT_VARIABLE listing RESULT_VARIABLE failed)
if(failed)
  add_test(${name}.cannot_list ${program} --gtest_list_tests)
  return()
endif()

# The names in reference("NAME") of all sources below a folder.
function(flux_references_of folder result)
  set(names)
  file(GLOB_RECURSE files ${folder}/*.cc ${folder}/*.h)
  foreach(file ${files})
    file(STRINGS ${file} lines REGEX "reference\\(\"[a-z0-9_]+\"")
    foreach(line ${lines})
      string(REGEX MATCH "reference\\(\"([a-z0-9_]+)\"" matched "${line}")
      list(APPEND names ${CMAKE_MATCH_1})
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES names)
  set(${result} ${names} PARENT_SCOPE)
endfunction()

set(fixtures)
flux_references_of(${sources} references)
if(references)
  set(fixtures references)
  get_property(known GLOBAL PROPERTY flux_references)
  if(NOT known)
    set_property(GLOBAL PROPERTY flux_references ON)
    flux_references_of(${sources}/.. references)
    add_test(references ${python} ${sources}/../reference/all.py ${reference_dir} ${references})
    set_tests_properties(references PROPERTIES ENVIRONMENT "${environment}" TIMEOUT 600 FIXTURES_SETUP references
                         PROCESSORS 2)
  endif()
endif()

# A sanitizer makes every start take a second, and knows nothing of what CUDA does: one test for all of these.
if("${sanitized}" STREQUAL sanitized)
  add_test(${name} ${program} --gtest_filter=-*Gpu*)
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "${environment}" TIMEOUT 900 FIXTURES_REQUIRED "${fixtures}"
                       COST 90)
  return()
endif()

# A suite counts as skipped when all its tests skipped themselves.
set(all_skipped "\\[  PASSED  \\] 0 tests\\.\n(\\[  SKIPPED \\][^\n]*\n?)+$")
string(REGEX MATCHALL "(^|\n)[^ \n][^\n]*\\.( |\n)" suites "${listing}")
foreach(suite ${suites})
  string(REGEX REPLACE "^\n?([^ ]*)\\.[ \n].*$" "\\1" suite "${suite}")
  if(suite MATCHES Gpu)
    set(with_card *Gpu*)
    continue()
  endif()
  string(REPLACE "/" "_" test "${name}.${suite}")
  add_test(${test} ${program} --gtest_filter=${suite}.*)
  set_tests_properties(${test} PROPERTIES ENVIRONMENT "${environment}" TIMEOUT 900
                       FIXTURES_REQUIRED "${fixtures}" SKIP_REGULAR_EXPRESSION "${all_skipped}")
endforeach()
if(with_card)
  add_test(${name}.gpu ${program} --gtest_filter=${with_card})
  set_tests_properties(${name}.gpu PROPERTIES ENVIRONMENT "${environment}" TIMEOUT 1800 LABELS gpu RESOURCE_LOCK gpu
                       FIXTURES_REQUIRED "${fixtures}" SKIP_REGULAR_EXPRESSION "${all_skipped}")
  unset(with_card)
endif()
