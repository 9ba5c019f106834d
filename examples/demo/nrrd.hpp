// Reads and writes the plainest NRRD files: a text header, then the voxels, uncompressed, in this machine's byte order.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <mem3d.hpp>

struct Nrrd {
    std::array<int64_t, 3> shape{}; // depth, height, width: the file names them the other way round
    int32_t scalar_type = 0;        // a mem3d_scalar_type
    size_t voxel_bytes = 0;
    std::vector<char> voxels;
    std::map<std::string, std::string> header;

    size_t voxel_count() const { return voxels.size() / voxel_bytes; }

    // The volume for mem3d, borrowing the voxels.
    mem3d_volume_view view() const;
};

namespace nrrd_detail {

// The numbers in "(1,0,0) (0,1,0) (0,0,2.5)", whatever stands between them.
inline std::vector<double> numbers(std::string text)
{
    for (char &c : text) {
        if (c == '(' || c == ')' || c == ',') c = ' ';
    }
    std::istringstream in(text);
    std::vector<double> values;
    for (double v; in >> v;) values.push_back(v);
    return values;
}

struct Type {
    const char *name;
    int32_t scalar_type;
    size_t bytes;
};

inline Type type_called(const std::string &name)
{
    static const Type types[] = {
        {"unsigned char", MEM3D_SCALAR_TYPE_U8, 1},
        {"uint8", MEM3D_SCALAR_TYPE_U8, 1},
        {"signed char", MEM3D_SCALAR_TYPE_I8, 1},
        {"int8", MEM3D_SCALAR_TYPE_I8, 1},
        {"unsigned short", MEM3D_SCALAR_TYPE_U16, 2},
        {"uint16", MEM3D_SCALAR_TYPE_U16, 2},
        {"short", MEM3D_SCALAR_TYPE_I16, 2},
        {"int16", MEM3D_SCALAR_TYPE_I16, 2},
        {"unsigned int", MEM3D_SCALAR_TYPE_U32, 4},
        {"uint32", MEM3D_SCALAR_TYPE_U32, 4},
        {"int", MEM3D_SCALAR_TYPE_I32, 4},
        {"int32", MEM3D_SCALAR_TYPE_I32, 4},
        {"float", MEM3D_SCALAR_TYPE_F32, 4},
        {"double", MEM3D_SCALAR_TYPE_F64, 8},
    };
    for (const Type &type : types) {
        if (name == type.name) return type;
    }
    throw std::runtime_error("the voxel type \"" + name + "\" is not known here");
}

} // namespace nrrd_detail

inline Nrrd read_nrrd(const std::string &path)
{
    std::ifstream in(path, std::ios::binary);
    std::string line;
    if (!std::getline(in, line) || line.rfind("NRRD", 0) != 0) throw std::runtime_error(path + ": no NRRD file");
    Nrrd nrrd;
    while (std::getline(in, line) && !line.empty()) {
        const size_t colon = line.find(": ");
        if (line[0] != '#' && colon != std::string::npos) nrrd.header[line.substr(0, colon)] = line.substr(colon + 2);
    }
    const auto sizes = nrrd_detail::numbers(nrrd.header["sizes"]);
    const bool big = nrrd.header.count("endian") && nrrd.header["endian"] != "little";
    if (sizes.size() != 3 || nrrd.header["encoding"] != "raw" || big) {
        throw std::runtime_error(path + ": only 3-D raw little-endian files are read here");
    }
    nrrd.shape = {int64_t(sizes[2]), int64_t(sizes[1]), int64_t(sizes[0])};
    const auto type = nrrd_detail::type_called(nrrd.header["type"]);
    nrrd.scalar_type = type.scalar_type;
    nrrd.voxel_bytes = type.bytes;
    nrrd.voxels.resize(size_t(nrrd.shape[0] * nrrd.shape[1] * nrrd.shape[2]) * type.bytes);
    if (!in.read(nrrd.voxels.data(), std::streamsize(nrrd.voxels.size()))) {
        throw std::runtime_error(path + ": ends before its last voxel");
    }
    return nrrd;
}

// Writes a mask on the grid of `like`.
inline void write_mask(const std::string &path, const Nrrd &like, const std::vector<uint8_t> &mask)
{
    std::ofstream out(path, std::ios::binary);
    out << "NRRD0004\ntype: unsigned char\ndimension: 3\nencoding: raw\n";
    for (const char *field : {"space", "sizes", "space directions", "kinds", "space origin"}) {
        const auto found = like.header.find(field);
        if (found != like.header.end()) out << field << ": " << found->second << '\n';
    }
    out << '\n';
    out.write(reinterpret_cast<const char *>(mask.data()), std::streamsize(mask.size()));
    if (!out.flush()) throw std::runtime_error(path + ": cannot be written");
}

inline mem3d_volume_view Nrrd::view() const
{
    auto view = mem3d::make<mem3d_volume_view>();
    view.scalar_type = scalar_type;
    view.data = voxels.data();
    const auto field = [this](const char *name) {
        const auto found = header.find(name);
        return nrrd_detail::numbers(found == header.end() ? "" : found->second);
    };
    const auto directions = field("space directions");
    const auto origin = field("space origin");
    const auto space = header.find("space");
    const bool lps = space != header.end() && (space->second == "left-posterior-superior" || space->second == "LPS");
    for (size_t axis = 0; axis < 3; ++axis) {
        view.shape[axis] = shape[axis];
        // Without a place in the patient mem3d's defaults hold.
        if (!lps || directions.size() != 9 || origin.size() != 3) continue;
        const double *d = &directions[3 * (2 - axis)];
        view.spacing_mm[axis] = std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
        view.origin_mm[axis] = origin[axis];
        for (size_t k = 0; k < 3; ++k) view.direction[3 * axis + k] = d[k] / view.spacing_mm[axis];
    }
    return view;
}
