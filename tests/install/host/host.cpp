// A host in C++.
#include <mem3d.hpp>

int main() { return mem3d::Model::random().info().network_size > 0 ? 0 : 1; }
