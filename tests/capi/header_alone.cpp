// Compiled alone, in every version of C++ from 11 on.
#include <mem3d.h>
#include <mem3d.h>

uint32_t header_alone();
uint32_t header_alone()
{
    mem3d_session_options options = {};
    mem3d_status status = MEM3D_STATUS_OK;
    options.struct_size = static_cast<uint32_t>(sizeof options);
    return options.struct_size + static_cast<uint32_t>(status);
}
