# cmake --install on macOS, as python/hatch_build.py does for a wheel.

# A program searches libraries in these places alone, which are relative to itself, and has a signature again.
function(set_search_paths program)
    execute_process(COMMAND otool -l "${program}" OUTPUT_VARIABLE listed COMMAND_ERROR_IS_FATAL ANY)
    # One after the other, since an entry of a list cannot hold every path.
    while(listed MATCHES "\n *path ([^\n]*) \\(offset [0-9]+\\)(.*)")
        set(place "${CMAKE_MATCH_1}")
        set(listed "${CMAKE_MATCH_2}")
        execute_process(COMMAND install_name_tool -delete_rpath "${place}" "${program}" COMMAND_ERROR_IS_FATAL ANY)
    endwhile()
    foreach(place IN LISTS ARGN)
        execute_process(COMMAND install_name_tool -add_rpath "${place}" "${program}" COMMAND_ERROR_IS_FATAL ANY)
    endforeach()
    execute_process(COMMAND codesign --force --sign - "${program}" COMMAND_ERROR_IS_FATAL ANY)
endfunction()
