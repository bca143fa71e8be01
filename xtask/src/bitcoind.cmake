# Included by Bitcoin Core's own CMakeLists.txt (CMAKE_PROJECT_INCLUDE): many sources compiled as one, so that the
# standard library and Boost are read dozens of times instead of hundreds. Saves two thirds of the CPU time.

function(unite_sources)
  foreach(target bitcoin_node bitcoin_common bitcoin_util bitcoin_consensus leveldb)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 14)
  endforeach()
  # These give names to what another source of their target gives the same name.
  set_source_files_properties(
    ${CMAKE_SOURCE_DIR}/src/index/coinstatsindex.cpp
    ${CMAKE_SOURCE_DIR}/src/node/chainstate.cpp
    TARGET_DIRECTORY bitcoin_node
    PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# At the end, when the targets exist.
if(NOT DEFINED GRAIL_UNITES)
  set(GRAIL_UNITES ON)
  cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL unite_sources)
endif()
