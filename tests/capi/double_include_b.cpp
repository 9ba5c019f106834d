// See double_include_a.cpp.
#include <mem3d.hpp>

std::string version_in_b();
std::string version_in_b() { return mem3d::version(); }
