# What is delivered: the command, the shared library, headers and pkg-config file.
get_property(rooms GLOBAL PROPERTY PARE_ROOMS)
set(room_libraries ${rooms})
list(TRANSFORM room_libraries PREPEND pare_)

file(GLOB cli_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cli/*.c)
if(cli_sources)
    add_executable(pare ${cli_sources})
    target_link_libraries(pare PRIVATE pare_options ${room_libraries} PkgConfig::JANSSON)
    set_target_properties(pare PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
    install(TARGETS pare RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
