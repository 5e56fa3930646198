# What is delivered: shared libraries with their headers, the command, examples, and what lets other
# builds find the libraries (pkg-config and CMake package files).
include(CMakePackageConfigHelpers)

# All files find the libraries relative to themselves, so `cmake --install --prefix` may put them
# anywhere.
set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/pare)
file(RELATIVE_PATH prefix_from_pkgconfig /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/pare-config.cmake.in
    ${PROJECT_BINARY_DIR}/pare-config.cmake INSTALL_DESTINATION ${package_directory})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pare-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/pare-config.cmake ${PROJECT_BINARY_DIR}/pare-config-version.cmake
    DESTINATION ${package_directory} COMPONENT pare-attention)

# pare_shared_library(TARGET NAME rooms...): one shared library libNAME out of whole rooms, which
# other builds find as pkg-config's NAME and CMake's pare::NAME. It is installed as the component
# NAME with the headers of its rooms; `pare`, which has all rooms, with those that are left.
#
# Only what the headers mark PARE_API is visible, and tests/install checks that; the map hides what
# compilers add (Clang's locks of OpenMP). The archives go in through linker options, because
# target_link_libraries knows no whole archives before CMake 3.24.
function(pare_shared_library target name)
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
        OUTPUT_NAME ${name} EXPORT_NAME ${name}
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
        LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
    add_library(pare::${name} ALIAS ${target})

    install(TARGETS ${target} EXPORT ${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        COMPONENT ${name} NAMELINK_COMPONENT ${name})
    install(EXPORT ${name} FILE ${name}-targets.cmake NAMESPACE pare::
        DESTINATION ${package_directory} COMPONENT ${name})
    configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${name}.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT ${name})
    get_property(installed GLOBAL PROPERTY PARE_INSTALLED_HEADERS)
    file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/pare/*.h)
    foreach(header ${headers})
        get_filename_component(room ${header} NAME_WE)
        if(NOT header IN_LIST installed AND (room IN_LIST ARGN OR name STREQUAL pare))
            install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/pare COMPONENT ${name})
            set_property(GLOBAL APPEND PROPERTY PARE_INSTALLED_HEADERS ${header})
        endif()
    endforeach()
endfunction()

# The command `pare`, linked with every room.
function(pare_command)
    get_property(room_libraries GLOBAL PROPERTY PARE_ROOMS)
    list(TRANSFORM room_libraries PREPEND pare_)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cli/*.c)
    add_executable(pare ${sources})
    target_include_directories(pare PRIVATE ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(pare PRIVATE pare_options ${room_libraries} PkgConfig::JANSSON)
    set_target_properties(pare PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
    install(TARGETS pare RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT pare)
    # What `pare bench attention` measures besides drawn masks; found from the command's own place.
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/bench/masks
        DESTINATION ${CMAKE_INSTALL_DATADIR}/pare COMPONENT pare)
endfunction()

# examples/*.c use the headers and a shared library only, as a user's program would: libpare when
# they include pare/pare.h, else libpare-attention.
function(pare_examples)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.c)
    foreach(source ${sources})
        get_filename_component(name ${source} NAME_WE)
        file(STRINGS ${source} whole_library REGEX "^#include <pare/pare\\.h>")
        set(library pare_attention_shared)
        if(whole_library AND PARE_ATTENTION_ONLY)
            continue()
        elseif(whole_library)
            set(library pare_shared)
        endif()
        add_executable(example_${name} ${source})
        target_link_libraries(example_${name} PRIVATE pare_options ${library} m)
        set_target_properties(example_${name} PROPERTIES
            OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples)
        set_property(GLOBAL APPEND PROPERTY PARE_EXAMPLES ${name})
    endforeach()
endfunction()
