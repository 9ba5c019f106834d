/* The log callback can be set, replaced and taken away. */
#include "check.h"

static void count(int32_t level, const char *message, void *user_data)
{
    CHECK(level >= MEM3D_LOG_LEVEL_ERROR && level <= MEM3D_LOG_LEVEL_TRACE);
    CHECK(message != NULL);
    ++*(int *)user_data;
}

int main(void)
{
    int first = 0, second = 0;
    CHECK_FAILS(mem3d_set_log_callback(count, &first, 6), MEM3D_STATUS_INVALID_ARGUMENT, "max_level is 6");
    CHECK_OK(mem3d_set_log_callback(count, &first, MEM3D_LOG_LEVEL_TRACE));
    CHECK_OK(mem3d_set_log_callback(count, &second, 0));
    const int before = first;
    mem3d_model_free(small_model());
    CHECK(first == before);
    CHECK_OK(mem3d_set_log_callback(NULL, NULL, 0));
    return 0;
}
