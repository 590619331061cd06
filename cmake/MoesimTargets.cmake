# Flags shared by every target, and the two functions with which each folder declares its target.

add_library(moesim_flags INTERFACE)
target_compile_features(moesim_flags INTERFACE cxx_std_20)
target_compile_options(moesim_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -ffp-contract=off # the same result on every x86-64 machine
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> # GCC 12 warns wrongly of "text" + std::string (GCC bug 105651)
  $<$<BOOL:${MOESIM_WARNINGS_AS_ERRORS}>:-Werror>)
if(MOESIM_SANITIZE)
  # The sanitizers' checks lead GCC to wrong -Wmaybe-uninitialized warnings, as its manual says.
  target_compile_options(moesim_flags INTERFACE
    -fsanitize=${MOESIM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -Wno-maybe-uninitialized)
  target_link_options(moesim_flags INTERFACE -fsanitize=${MOESIM_SANITIZE})
endif()
set(CMAKE_CXX_EXTENSIONS OFF)

# moesim_library(engine SOURCES a.cc b.cc DEPENDS moesim::base [PRIVATE_DEPENDS PkgConfig::SIMGRID])
# declares moesim_engine with the alias moesim::engine. Includes are full paths from the project's root.
function(moesim_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(moesim_${name} STATIC ${ARG_SOURCES})
  add_library(moesim::${name} ALIAS moesim_${name})
  target_include_directories(moesim_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(moesim_${name} PUBLIC ${ARG_DEPENDS} PRIVATE moesim_flags ${ARG_PRIVATE_DEPENDS})
  target_compile_features(moesim_${name} PUBLIC cxx_std_20)
endfunction()

# moesim_embed(topology NAMESPACE moesim::topology FILES presets/a.json ...)
# compiles the files into the target as `std::span<const base::EmbeddedFile> embedded_presets()` of that namespace;
# a file's name is its base name without ".json". A second table of one target needs another NAMESPACE and a SET, its
# name.
function(moesim_embed name)
  cmake_parse_arguments(ARG "" "NAMESPACE;SET" "FILES" ${ARGN})
  if(NOT ARG_SET)
    set(ARG_SET presets)
  endif()
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${name}_${ARG_SET}.cc)
  set(paths "")
  foreach(file ${ARG_FILES})
    list(APPEND paths ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  string(REPLACE ";" "|" packed "${paths}")
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DNAMESPACE=${ARG_NAMESPACE} "-DFILES=${packed}"
            -P ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake
    DEPENDS ${paths} ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake VERBATIM)
  target_sources(moesim_${name} PRIVATE ${out})
endfunction()

# moesim_test(topology SOURCES graph_test.cc DEPENDS moesim::topology) declares one doctest program and its ctest entry.
function(moesim_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(moesim_test_${name} ${ARG_SOURCES})
  target_link_libraries(moesim_test_${name} PRIVATE moesim_test_main moesim_flags ${ARG_DEPENDS})
  add_test(NAME ${name} COMMAND moesim_test_${name})
  set_tests_properties(${name} PROPERTIES WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()
