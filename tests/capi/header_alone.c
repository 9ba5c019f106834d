/* Compiled alone, in every version of C: the header needs nothing before it, and can be included twice. */
#include <mem3d.h>
#include <mem3d.h>

uint32_t header_alone(void);
uint32_t header_alone(void)
{
    mem3d_session_options options = {0};
    mem3d_status status = MEM3D_STATUS_OK;
    options.struct_size = (uint32_t)sizeof options;
    return options.struct_size + (uint32_t)status;
}
