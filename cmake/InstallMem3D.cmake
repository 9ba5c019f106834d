# A relocatable package: library, command, model, headers, CMake package, pkg-config file and licences. Every path in it
# is relative.
include(CMakePackageConfigHelpers)

set(mem3d_config_folder "${CMAKE_INSTALL_LIBDIR}/cmake/Mem3D")

set(mem3d_executable
    PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
if(WIN32) # a DLL lies beside the programs, which find it there, and hosts are linked to its import library
    install(FILES "${MEM3D_BUILT_LIBRARY}" DESTINATION "${CMAKE_INSTALL_BINDIR}" ${mem3d_executable})
    install(FILES "${MEM3D_BUILT_IMPORT}" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
else()
    install(FILES "${MEM3D_BUILT_LIBRARY}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" RENAME "${mem3d_full}"
            ${mem3d_executable})
    install(CODE "
        set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}\")
        file(CREATE_LINK \"${mem3d_full}\" \"\${folder}/${mem3d_name}\" SYMBOLIC)
        file(CREATE_LINK \"${mem3d_name}\" \"\${folder}/${mem3d_file}\" SYMBOLIC)
    ")
endif()
install(PROGRAMS "${MEM3D_BUILT_COMMAND}" DESTINATION "${CMAKE_INSTALL_BINDIR}")

# What cargo built looks for libtorch where it was built too; a package looks beside itself only. Windows has no search
# path in a program.
file(RELATIVE_PATH mem3d_up "/${CMAKE_INSTALL_BINDIR}" "/${CMAKE_INSTALL_LIBDIR}")
if(APPLE)
    install(CODE "
        include(\"${PROJECT_SOURCE_DIR}/cmake/SearchPathsOfMacOS.cmake\")
        set(prefix \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
        set_search_paths(\"\${prefix}/${CMAKE_INSTALL_LIBDIR}/${mem3d_full}\"
                         @loader_path @loader_path/libtorch/lib)
        set_search_paths(\"\${prefix}/${CMAKE_INSTALL_BINDIR}/mem3d\"
                         \"@loader_path/${mem3d_up}\" \"@loader_path/${mem3d_up}/libtorch/lib\")
    ")
elseif(NOT WIN32)
    install(CODE "
        set(prefix \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
        file(RPATH_SET FILE \"\${prefix}/${CMAKE_INSTALL_LIBDIR}/${mem3d_full}\"
             NEW_RPATH [[$ORIGIN:$ORIGIN/libtorch/lib]])
        file(RPATH_SET FILE \"\${prefix}/${CMAKE_INSTALL_BINDIR}/mem3d\"
             NEW_RPATH [[$ORIGIN/${mem3d_up}:$ORIGIN/${mem3d_up}/libtorch/lib]])
    ")
endif()

install(FILES models/compact.safetensors models/compact.md DESTINATION "${CMAKE_INSTALL_DATADIR}/mem3d/models")
set(mem3d_licences "${CMAKE_INSTALL_DATADIR}/doc/mem3d")
install(FILES LICENSE NOTICE THIRD-PARTY-LICENSES.txt CHANGELOG.md DESTINATION "${mem3d_licences}")
install(FILES src/bin/mem3d/font/LICENSE DESTINATION "${mem3d_licences}" RENAME LICENSE.DejaVu)
install(FILES include/mem3d.h include/mem3d.hpp DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

configure_package_config_file(
    cmake/Mem3DConfig.cmake.in "${PROJECT_BINARY_DIR}/Mem3DConfig.cmake"
    INSTALL_DESTINATION "${mem3d_config_folder}"
    PATH_VARS CMAKE_INSTALL_BINDIR CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_DATADIR
)
# Before 1.0 a minor version may change what a host sees.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/Mem3DConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/Mem3DConfig.cmake" "${PROJECT_BINARY_DIR}/Mem3DConfigVersion.cmake"
        DESTINATION "${mem3d_config_folder}")

# pkg-config finds the prefix from where its file lies, so that it may be moved.
file(RELATIVE_PATH mem3d_pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" mem3d_pc_prefix "${mem3d_pc_prefix}")
set(mem3d_pc_libs "-lmem3d -Wl,-rpath-link,\${libdir}/libtorch/lib")
if(WIN32) # linking to a DLL looks at nothing of libtorch
    set(mem3d_pc_libs "-lmem3d.dll")
elseif(APPLE) # whose linker has no rpath-link
    set(mem3d_pc_libs "-lmem3d")
endif()
configure_file(cmake/mem3d.pc.in "${PROJECT_BINARY_DIR}/mem3d.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/mem3d.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# The library looks for libtorch beside itself, then in libtorch/lib; on Windows beside the program or on PATH. Bundled
# is what the CPU needs (about 500 MB); for CUDA, put or link a whole libtorch 2.11 at <libdir>/libtorch instead.
if(MEM3D_BUNDLE_LIBTORCH AND WIN32)
    set(mem3d_libtorch "${PROJECT_SOURCE_DIR}/.libtorch")
    if(DEFINED ENV{LIBTORCH})
        file(TO_CMAKE_PATH "$ENV{LIBTORCH}" mem3d_libtorch)
    endif()
    set(mem3d_scan "")
    if(NOT CMAKE_HOST_WIN32) # Linux reads DLLs with objdump
        set(mem3d_scan "set(CMAKE_GET_RUNTIME_DEPENDENCIES_PLATFORM windows+pe)
        set(CMAKE_GET_RUNTIME_DEPENDENCIES_TOOL objdump)")
    endif()
    install(CODE "
        ${mem3d_scan}
        file(REAL_PATH \"${mem3d_libtorch}/lib\" libtorch)
        file(GET_RUNTIME_DEPENDENCIES
            LIBRARIES \"${MEM3D_BUILT_LIBRARY}\"
            EXECUTABLES \"${MEM3D_BUILT_COMMAND}\"
            RESOLVED_DEPENDENCIES_VAR needed
            UNRESOLVED_DEPENDENCIES_VAR of_the_system
            DIRECTORIES \"\${libtorch}\"
            PRE_EXCLUDE_REGEXES \"^api-ms-\" \"^ext-ms-\"
            POST_EXCLUDE_REGEXES \"[/\\\\][Ss][Yy][Ss][Tt][Ee][Mm]32[/\\\\]\"
        )
        set(bundled \"\")
        foreach(path IN LISTS needed)
            cmake_path(IS_PREFIX libtorch \"\${path}\" NORMALIZE inside)
            if(inside)
                list(APPEND bundled \"\${path}\")
            endif()
        endforeach()
        if(NOT bundled MATCHES \"torch_cpu.dll\")
            message(FATAL_ERROR \"libtorch cannot be bundled; \${libtorch} has no torch_cpu.dll\")
        endif()
        file(INSTALL \${bundled} DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
    ")
elseif(MEM3D_BUNDLE_LIBTORCH)
    install(CODE "
        file(GET_RUNTIME_DEPENDENCIES
            LIBRARIES \"${MEM3D_BUILT_LIBRARY}\"
            RESOLVED_DEPENDENCIES_VAR needed
            UNRESOLVED_DEPENDENCIES_VAR missing
            POST_EXCLUDE_REGEXES \"^/lib\" \"^/usr/lib\" \"^/System\"
        )
        if(missing)
            message(FATAL_ERROR \"libtorch cannot be bundled; not found: \${missing}\")
        endif()
        file(INSTALL \${needed} DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/libtorch/lib\"
             FOLLOW_SYMLINK_CHAIN)
    ")
endif()
