# Language, warnings and build options shared by every target.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()

option(PARE_BUILD_TESTS "Build the tests and the examples" ${PROJECT_IS_TOP_LEVEL})
option(PARE_WARNINGS_AS_ERRORS "Treat warnings as errors" OFF)
option(PARE_FUZZ "Build the libFuzzer targets (Clang)" OFF)
set(PARE_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined")

add_library(pare_options INTERFACE)
target_compile_options(pare_options INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla
    -fno-math-errno -fno-trapping-math)
target_compile_definitions(pare_options INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
if(PARE_WARNINGS_AS_ERRORS)
    target_compile_options(pare_options INTERFACE -Werror)
endif()
if(PARE_SANITIZE)
    target_compile_options(pare_options INTERFACE
        -fsanitize=${PARE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(pare_options INTERFACE -fsanitize=${PARE_SANITIZE})
    if(CMAKE_C_COMPILER_ID MATCHES Clang) # instrumented loops cannot become vector code
        target_compile_options(pare_options INTERFACE -Wno-pass-failed)
    endif()
endif()
if(PARE_FUZZ)
    target_compile_options(pare_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
