# What is delivered: the command, the shared library with its headers, and what lets other builds
# find them (pkg-config and CMake package files).
include(CMakePackageConfigHelpers)

get_property(rooms GLOBAL PROPERTY PARE_ROOMS)
set(room_libraries ${rooms})
list(TRANSFORM room_libraries PREPEND pare_)

file(GLOB cli_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cli/*.c)
if(cli_sources)
    add_executable(pare ${cli_sources})
    target_include_directories(pare PRIVATE ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(pare PRIVATE pare_options ${room_libraries} PkgConfig::JANSSON)
    set_target_properties(pare PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
    install(TARGETS pare RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    # What `pare bench attention` measures besides drawn masks; found from the command's own place.
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/bench/masks DESTINATION ${CMAKE_INSTALL_DATADIR}/pare)
endif()

# pare_shared_library(TARGET FILE rooms...): one shared library out of whole rooms. Only what the
# headers mark PARE_API is visible, and tests/install checks that; the map hides what compilers add
# (Clang's locks of OpenMP). The archives go in through linker options, because
# target_link_libraries knows no whole archives before CMake 3.24.
function(pare_shared_library target file)
    set(archives "")
    set(libraries "")
    foreach(room ${ARGN})
        list(APPEND archives $<TARGET_FILE:pare_${room}>)
        get_target_property(room_libraries pare_${room} LINK_LIBRARIES)
        list(FILTER room_libraries EXCLUDE REGEX "^pare_")
        list(APPEND libraries ${room_libraries})
    endforeach()
    list(REMOVE_DUPLICATES libraries)
    add_library(${target} SHARED ${PROJECT_SOURCE_DIR}/cmake/empty.c)
    if(APPLE)
        target_link_options(${target} PRIVATE -Wl,-all_load ${archives})
    else()
        target_link_options(${target} PRIVATE
            -Wl,--whole-archive ${archives} -Wl,--no-whole-archive
            -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map)
    endif()
    if(NOT APPLE AND NOT PARE_SANITIZE) # a sanitizer's runtime comes with the program
        target_link_options(${target} PRIVATE -Wl,--no-undefined)
    endif()
    list(TRANSFORM ARGN PREPEND pare_ OUTPUT_VARIABLE room_targets)
    add_dependencies(${target} ${room_targets})
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS
        ${archives} ${PROJECT_SOURCE_DIR}/cmake/exports.map)
    target_link_libraries(${target} PRIVATE pare_options ${libraries})
    target_include_directories(${target} INTERFACE
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME ${file} EXPORT_NAME ${file}
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
        LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()

pare_shared_library(pare_shared pare ${rooms})

install(TARGETS pare_shared EXPORT pare LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/pare DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")

# Both files find the library relative to themselves, so `cmake --install --prefix` may put it
# anywhere.
set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/pare)
install(EXPORT pare FILE pare-targets.cmake NAMESPACE pare:: DESTINATION ${package_directory})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/pare-config.cmake.in
    ${PROJECT_BINARY_DIR}/pare-config.cmake INSTALL_DESTINATION ${package_directory})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pare-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/pare-config.cmake ${PROJECT_BINARY_DIR}/pare-config-version.cmake
    DESTINATION ${package_directory})
file(RELATIVE_PATH prefix_from_pkgconfig
    /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${PROJECT_SOURCE_DIR}/cmake/pare.pc.in ${PROJECT_BINARY_DIR}/pare.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/pare.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# examples/*.c use the installed headers and the shared library only, as a user's program would.
set(PARE_EXAMPLES "")
file(GLOB example_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.c)
foreach(source ${example_sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(example_${name} ${source})
    target_link_libraries(example_${name} PRIVATE pare_options pare_shared m)
    set_target_properties(example_${name} PROPERTIES
        OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples)
    list(APPEND PARE_EXAMPLES ${name})
endforeach()
