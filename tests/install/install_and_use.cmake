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

foreach(file "${BINDIR}/mem3d" "${DATADIR}/mem3d/models/compact.safetensors" "${DATADIR}/doc/mem3d/LICENSE"
             "${DATADIR}/doc/mem3d/NOTICE" "${DATADIR}/doc/mem3d/THIRD-PARTY-LICENSES.txt")
    if(NOT EXISTS "${prefix}/${file}")
        message(FATAL_ERROR "the package lacks ${file}")
    endif()
endforeach()

# Neither library nor command searches libtorch where it was built.
find_program(readelf readelf)
if(readelf)
    file(REAL_PATH "${LIBTORCH}/lib" built_with)
    foreach(file "${LIBDIR}/libmem3d.so.${VERSION}" "${BINDIR}/mem3d")
        run("${readelf}" -d "${prefix}/${file}")
        string(FIND "${output}" "${built_with}" found)
        if(NOT found EQUAL -1 OR NOT output MATCHES "libtorch/lib\\]")
            message(FATAL_ERROR "the RUNPATH of ${file} is not that of a package: ${output}")
        endif()
    endforeach()
endif()

set(configure -G "${GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${MAKE}" "-DCMAKE_C_COMPILER=${C}"
    "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_PREFIX_PATH=${prefix}")
unset(ENV{LIBTORCH})
if(NOT BUNDLED)
    # Without libtorch the package is not found, and the message states what to do.
    file(MAKE_DIRECTORY "${WORK}/old/lib")
    file(WRITE "${WORK}/old/lib/libtorch_cpu.so" "")
    file(WRITE "${WORK}/old/version.py" "__version__ = '2.4.1+cpu'")
    foreach(place "" "${WORK}/old")
        execute_process(
            COMMAND "${CMAKE_COMMAND}" -S "${HOST}" -B "${WORK}/without" ${configure} "-DWANTED=${VERSION}"
                    "-DMEM3D_LIBTORCH=${place}"
            RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE output
        )
        string(REGEX REPLACE "[ \n]+" " " output "${output}")
        if(status EQUAL 0 OR NOT output MATCHES "libmem3d needs libtorch 2.11.*set MEM3D_LIBTORCH")
            message(FATAL_ERROR "find_package(Mem3D) without libtorch (${place}): ${status} ${output}")
        endif()
        if(place AND NOT output MATCHES "has 2.4.1")
            message(FATAL_ERROR "the version of libtorch is not named: ${output}")
        endif()
    endforeach()
    # With a libtorch outside of it, programs run without any variable.
    run("${CMAKE_COMMAND}" -S "${HOST}" -B "${WORK}/outside" ${configure} "-DWANTED=${VERSION}"
        "-DMEM3D_LIBTORCH=${LIBTORCH}")
    run("${CMAKE_COMMAND}" --build "${WORK}/outside")
    run("${WORK}/outside/host_c")
    run("${WORK}/outside/host_cpp")
    file(CREATE_LINK "${LIBTORCH}" "${prefix}/${LIBDIR}/libtorch" SYMBOLIC)
endif()

# The command finds libtorch and its model.
unset(ENV{MEM3D_MODEL})
run("${prefix}/${BINDIR}/mem3d" info --json "${WORK}/info.json")
file(READ "${WORK}/info.json" info)
string(FIND "${info}" "${DATADIR}/mem3d/models/compact.safetensors" found)
if(found EQUAL -1)
    message(FATAL_ERROR "mem3d info does not name the installed model: ${info}")
endif()

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
