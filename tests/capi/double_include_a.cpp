// With double_include_b.cpp: the C++ header in two files of one program.
#include <mem3d.hpp>
#include <mem3d.hpp>

std::string version_in_b();

int main() { return mem3d::version() == version_in_b() ? 0 : 1; }
