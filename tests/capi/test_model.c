/* Models: their description, and what bad options and files get. */
#include "check.h"

static void bad_files(void)
{
    mem3d_model *model = NULL;
    CHECK(mem3d_model_load("no/such/model.safetensors", NULL, &model) == MEM3D_STATUS_IO);
    CHECK(strstr(mem3d_last_error(), "no/such/model.safetensors") != NULL);
    CHECK(mem3d_model_load("\xff\xfe", NULL, &model) == MEM3D_STATUS_IO); /* any bytes name a file */
    const char *path = "test_model_text.safetensors";
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    fputs("this is a text, not a model", file);
    fclose(file);
    CHECK(mem3d_model_load(path, NULL, &model) == MEM3D_STATUS_BAD_MODEL);
    remove(path);
    CHECK(model == NULL);
}

static void bad_options(void)
{
    mem3d_model *model = NULL;
    ZEROED(mem3d_model_options, options);
    options.precision = 9;
    CHECK_FAILS(mem3d_model_random(0, 0, &options, &model), MEM3D_STATUS_INVALID_ARGUMENT, "options.precision is 9");
    options.precision = MEM3D_PRECISION_F32;
    options.device = "toaster";
    CHECK_FAILS(mem3d_model_random(0, 0, &options, &model), MEM3D_STATUS_INVALID_ARGUMENT, "toaster");
    options.device = "cuda:77";
    CHECK(mem3d_model_random(0, 0, &options, &model) == MEM3D_STATUS_UNSUPPORTED);
    CHECK_FAILS(mem3d_model_random(5, 0, NULL, &model), MEM3D_STATUS_INVALID_ARGUMENT, "preset is 5");
    options.struct_size = 3;
    CHECK_FAILS(mem3d_model_random(0, 0, &options, &model), MEM3D_STATUS_INVALID_ARGUMENT,
                "struct_size of options is 3");
    CHECK(model == NULL);
}

/* A program compiled against a later header has longer structs. */
static void newer_caller(void)
{
    struct {
        mem3d_model_options known;
        uint64_t later;
    } options;
    memset(&options, 0, sizeof options);
    options.known.struct_size = (uint32_t)sizeof options;
    options.known.device = "cpu";
    mem3d_model *model = NULL;
    CHECK_OK(mem3d_model_random(0, 0, &options.known, &model));
    struct {
        mem3d_model_info known;
        uint64_t later;
    } info;
    memset(&info, 0xff, sizeof info);
    info.known.struct_size = (uint32_t)sizeof info;
    CHECK_OK(mem3d_model_get_info(model, &info.known));
    CHECK(info.known.struct_size == sizeof info);
    CHECK(info.later == 0);
    mem3d_model_free(model);
    model = NULL;
    options.later = 1;
    CHECK_FAILS(mem3d_model_random(0, 0, &options.known, &model), MEM3D_STATUS_INVALID_ARGUMENT,
                "newer mem3d_model_options");
    CHECK(model == NULL);
}

int main(void)
{
    bad_files();
    bad_options();
    newer_caller();
    mem3d_model *model = small_model();
    ZEROED(mem3d_model_info, info);
    CHECK_OK(mem3d_model_get_info(model, &info));
    CHECK(info.preset == MEM3D_PRESET_COMPACT);
    CHECK(info.name[0] != '\0' && info.provenance != NULL && info.licence != NULL && info.checksum != NULL);
    CHECK(strcmp(info.device, "cpu") == 0);
    CHECK(info.interaction_kinds & 1u << MEM3D_INTERACTION_KIND_SCRIBBLE);
    CHECK(info.network_size > 0 && info.network_size % 16 == 0);
    mem3d_model_free(model);
    mem3d_model_free(NULL);
    return 0;
}
