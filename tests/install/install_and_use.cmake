# Installs, moves the prefix, then builds and runs a host project that knows only the moved prefix.
cmake_minimum_required(VERSION 3.22)

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "${ARGN}\nfailed (${status}):\n${output}")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE "${WORK}")
run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${WORK}/first")
file(RENAME "${WORK}/first" "${WORK}/moved here")
set(prefix "${WORK}/moved here")

# No text of the package names the place where it was built or first installed.
file(GLOB_RECURSE texts "${prefix}/*.cmake" "${prefix}/*.pc" "${prefix}/*.h" "${prefix}/*.hpp")
list(LENGTH texts count)
if(count LESS 5)
    message(FATAL_ERROR "the package is incomplete: ${texts}")
endif()
foreach(file IN LISTS texts)
    file(READ "${file}" text)
    foreach(place "${BUILD}" "${WORK}")
        string(FIND "${text}" "${place}" found)
        if(NOT found EQUAL -1)
            message(FATAL_ERROR "${file} names ${place}: the package cannot be moved")
        endif()
    endforeach()
endforeach()

run("${CMAKE_COMMAND}" -S "${HOST}" -B "${WORK}/host" -G "${GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${MAKE}"
    "-DCMAKE_C_COMPILER=${C}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_PREFIX_PATH=${prefix}" "-DWANTED=${VERSION}")
run("${CMAKE_COMMAND}" --build "${WORK}/host")
run("${WORK}/host/host_c")
string(FIND "${output}" "mem3d ${VERSION}" found)
if(found EQUAL -1)
    message(FATAL_ERROR "host_c printed: ${output}")
endif()
run("${WORK}/host/host_cpp")

# A newer version than the package's is refused.
execute_process(
    COMMAND "${CMAKE_COMMAND}" -S "${HOST}" -B "${WORK}/newer" -G "${GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${MAKE}"
            "-DCMAKE_C_COMPILER=${C}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_PREFIX_PATH=${prefix}" -DWANTED=99.0
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET
)
if(status EQUAL 0)
    message(FATAL_ERROR "find_package(Mem3D 99.0) was satisfied by ${VERSION}")
endif()

# The same with pkg-config, where there is one. It cannot quote a blank in a prefix, hence the second move.
find_program(pkg_config pkg-config)
if(pkg_config)
    file(RENAME "${prefix}" "${WORK}/again")
    set(prefix "${WORK}/again")
    set(ENV{PKG_CONFIG_PATH} "${prefix}/${LIBDIR}/pkgconfig")
    run("${pkg_config}" --modversion mem3d)
    string(STRIP "${output}" output)
    if(NOT output STREQUAL VERSION)
        message(FATAL_ERROR "mem3d.pc has version ${output}, not ${VERSION}")
    endif()
    run("${pkg_config}" --cflags --libs mem3d)
    separate_arguments(flags UNIX_COMMAND "${output}")
    run("${C}" "${HOST}/host.c" -o "${WORK}/host_pc" ${flags} "-Wl,-rpath,${prefix}/${LIBDIR}")
    run("${WORK}/host_pc")
endif()

if(BUNDLED)
    file(GLOB bundled "${prefix}/${LIBDIR}/libtorch/lib/libtorch_cpu.*")
    if(NOT bundled)
        message(FATAL_ERROR "libtorch was not bundled")
    endif()
endif()
