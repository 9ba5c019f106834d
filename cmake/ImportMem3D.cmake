# Targets Mem3D::mem3d (C) and Mem3D::mem3d_cpp (C++17) over the library that cargo builds in this source tree.

find_program(MEM3D_CARGO cargo HINTS "$ENV{HOME}/.cargo/bin" "$ENV{USERPROFILE}/.cargo/bin" REQUIRED)

if(NOT "$ENV{LIBTORCH}" STREQUAL "" AND NOT IS_ABSOLUTE "$ENV{LIBTORCH}")
    message(FATAL_ERROR "LIBTORCH is $ENV{LIBTORCH}; set it to the whole path, since cargo builds in several folders")
endif()

set(mem3d_target "${PROJECT_SOURCE_DIR}/target")
if(DEFINED ENV{CARGO_TARGET_DIR})
    get_filename_component(mem3d_target "$ENV{CARGO_TARGET_DIR}" ABSOLUTE BASE_DIR "${PROJECT_SOURCE_DIR}")
endif()
if(MEM3D_CARGO_PROFILE STREQUAL "release")
    set(mem3d_folder "${mem3d_target}/release")
elseif(MEM3D_CARGO_PROFILE STREQUAL "dev")
    set(mem3d_folder "${mem3d_target}/debug")
else()
    message(FATAL_ERROR "MEM3D_CARGO_PROFILE is ${MEM3D_CARGO_PROFILE}; use release or dev")
endif()

# What cargo makes, and the names under which hosts find it: on Windows cargo's own, and an import library.
set(mem3d_command mem3d)
if(WIN32)
    set(mem3d_command mem3d.exe)
    set(mem3d_file mem3d.dll)
    set(mem3d_import mem3d.dll.lib) # of Rust for MSVC, the only one that libtorch can be linked with
    set(MEM3D_BUILT_IMPORT "${mem3d_folder}/${mem3d_import}")
elseif(APPLE)
    set(mem3d_file libmem3d.dylib)
    set(mem3d_name "libmem3d.${MEM3D_ABI_VERSION}.dylib")
    set(mem3d_full "libmem3d.${PROJECT_VERSION}.dylib")
    # The whole install name (build.rs): without "@rpath" CMake gives hosts no search path.
    set(mem3d_soname "@rpath/${mem3d_name}")
else()
    set(mem3d_file libmem3d.so)
    set(mem3d_name "libmem3d.so.${MEM3D_ABI_VERSION}")
    set(mem3d_full "libmem3d.so.${PROJECT_VERSION}")
    set(mem3d_soname "${mem3d_name}")
endif()
set(MEM3D_BUILT_LIBRARY "${mem3d_folder}/${mem3d_file}")
set(MEM3D_BUILT_COMMAND "${mem3d_folder}/${mem3d_command}")

if(WIN32)
    set(mem3d_location "${MEM3D_BUILT_LIBRARY}")
else()
    # Programs of the build tree look for the SONAME, which cargo does not make: links beside each other, as installed.
    set(mem3d_links "${PROJECT_BINARY_DIR}/lib")
    file(MAKE_DIRECTORY "${mem3d_links}")
    file(CREATE_LINK "${MEM3D_BUILT_LIBRARY}" "${mem3d_links}/${mem3d_name}" SYMBOLIC)
    file(CREATE_LINK "${mem3d_name}" "${mem3d_links}/${mem3d_file}" SYMBOLIC)
    set(mem3d_location "${mem3d_links}/${mem3d_file}")
endif()

# Cargo knows what is out of date; when nothing is, this takes no time.
add_custom_target(
    mem3d_cargo ALL
    COMMAND "${MEM3D_CARGO}" build --lib --bin mem3d --profile "${MEM3D_CARGO_PROFILE}" --target-dir "${mem3d_target}"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    # ninja follows the link: nothing before cargo ran
    BYPRODUCTS "${MEM3D_BUILT_LIBRARY}" "${MEM3D_BUILT_COMMAND}" "${mem3d_location}" ${MEM3D_BUILT_IMPORT}
    COMMENT "Building libmem3d and mem3d with cargo (${MEM3D_CARGO_PROFILE})"
    USES_TERMINAL
    VERBATIM
)

add_library(mem3d SHARED IMPORTED GLOBAL)
set_target_properties(
    mem3d PROPERTIES
    IMPORTED_LOCATION "${mem3d_location}"
    INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include"
)
if(WIN32)
    set_property(TARGET mem3d PROPERTY IMPORTED_IMPLIB "${MEM3D_BUILT_IMPORT}")
else()
    set_property(TARGET mem3d PROPERTY IMPORTED_SONAME "${mem3d_soname}")
endif()
add_dependencies(mem3d mem3d_cargo)
add_library(Mem3D::mem3d ALIAS mem3d)

find_package(Threads REQUIRED)
add_library(mem3d_cpp INTERFACE)
target_link_libraries(mem3d_cpp INTERFACE mem3d Threads::Threads)
target_compile_features(mem3d_cpp INTERFACE cxx_std_17)
add_library(Mem3D::mem3d_cpp ALIAS mem3d_cpp)
