/* Prints size and offsets of every public struct as JSON, for tests/python/test_native_layout.py. */
#include <mem3d.h>
#include <stdio.h>

#define FIRST(type, field) printf("    \"" #field "\": %zu", offsetof(type, field))
#define NEXT(type, field) printf(",\n    \"" #field "\": %zu", offsetof(type, field))
#define BEGIN(type) printf("  \"" #type "\": {\n    \"sizeof\": %zu,\n", sizeof(type))
#define END(more) printf("\n  }%s\n", more)

int main(void)
{
    printf("{\n");
    BEGIN(mem3d_device_info);
    FIRST(mem3d_device_info, struct_size);
    NEXT(mem3d_device_info, reserved);
    NEXT(mem3d_device_info, id);
    NEXT(mem3d_device_info, name);
    NEXT(mem3d_device_info, memory_total_bytes);
    NEXT(mem3d_device_info, memory_free_bytes);
    END(",");
    BEGIN(mem3d_model_options);
    FIRST(mem3d_model_options, struct_size);
    NEXT(mem3d_model_options, precision);
    NEXT(mem3d_model_options, device);
    END(",");
    BEGIN(mem3d_model_info);
    FIRST(mem3d_model_info, struct_size);
    NEXT(mem3d_model_info, preset);
    NEXT(mem3d_model_info, name);
    NEXT(mem3d_model_info, provenance);
    NEXT(mem3d_model_info, licence);
    NEXT(mem3d_model_info, checksum);
    NEXT(mem3d_model_info, device);
    NEXT(mem3d_model_info, interaction_kinds);
    NEXT(mem3d_model_info, network_size);
    NEXT(mem3d_model_info, slice_size);
    NEXT(mem3d_model_info, context_slices);
    NEXT(mem3d_model_info, key_channels);
    NEXT(mem3d_model_info, value_channels);
    NEXT(mem3d_model_info, key_stride);
    NEXT(mem3d_model_info, reserved);
    END(",");
    BEGIN(mem3d_volume_view);
    FIRST(mem3d_volume_view, struct_size);
    NEXT(mem3d_volume_view, scalar_type);
    NEXT(mem3d_volume_view, data);
    NEXT(mem3d_volume_view, shape);
    NEXT(mem3d_volume_view, byte_strides);
    NEXT(mem3d_volume_view, spacing_mm);
    NEXT(mem3d_volume_view, origin_mm);
    NEXT(mem3d_volume_view, direction);
    END(",");
    BEGIN(mem3d_session_options);
    FIRST(mem3d_session_options, struct_size);
    NEXT(mem3d_session_options, replace_non_finite);
    NEXT(mem3d_session_options, window_low);
    NEXT(mem3d_session_options, window_high);
    NEXT(mem3d_session_options, feature_cache_bytes);
    NEXT(mem3d_session_options, undo_depth);
    NEXT(mem3d_session_options, keep_cuda_cache);
    NEXT(mem3d_session_options, no_refinement);
    NEXT(mem3d_session_options, whole_slice);
    NEXT(mem3d_session_options, memorize_every);
    NEXT(mem3d_session_options, max_memory_slices);
    NEXT(mem3d_session_options, stop_after_empty);
    NEXT(mem3d_session_options, min_area);
    NEXT(mem3d_session_options, min_probability);
    NEXT(mem3d_session_options, min_area_fraction);
    NEXT(mem3d_session_options, min_presence);
    NEXT(mem3d_session_options, roi_scale);
    END(",");
    BEGIN(mem3d_interaction);
    FIRST(mem3d_interaction, struct_size);
    NEXT(mem3d_interaction, segment);
    NEXT(mem3d_interaction, axis);
    NEXT(mem3d_interaction, slice);
    NEXT(mem3d_interaction, kind);
    NEXT(mem3d_interaction, negative);
    NEXT(mem3d_interaction, points);
    NEXT(mem3d_interaction, n_points);
    NEXT(mem3d_interaction, radius_mm);
    NEXT(mem3d_interaction, raster);
    NEXT(mem3d_interaction, raster_byte_strides);
    NEXT(mem3d_interaction, coordinates);
    NEXT(mem3d_interaction, reserved);
    END(",");
    BEGIN(mem3d_progress);
    FIRST(mem3d_progress, done);
    NEXT(mem3d_progress, total);
    NEXT(mem3d_progress, slice);
    NEXT(mem3d_progress, segment);
    END(",");
    BEGIN(mem3d_propagate_options);
    FIRST(mem3d_propagate_options, struct_size);
    NEXT(mem3d_propagate_options, segment);
    NEXT(mem3d_propagate_options, axis);
    NEXT(mem3d_propagate_options, direction);
    NEXT(mem3d_propagate_options, first_slice);
    NEXT(mem3d_propagate_options, n_slices);
    NEXT(mem3d_propagate_options, on_slice);
    NEXT(mem3d_propagate_options, user_data);
    NEXT(mem3d_propagate_options, on_mask);
    END(",");
    BEGIN(mem3d_suggestion);
    FIRST(mem3d_suggestion, struct_size);
    NEXT(mem3d_suggestion, found);
    NEXT(mem3d_suggestion, segment);
    NEXT(mem3d_suggestion, axis);
    NEXT(mem3d_suggestion, slice);
    NEXT(mem3d_suggestion, quality);
    NEXT(mem3d_suggestion, gain);
    NEXT(mem3d_suggestion, reserved);
    END(",");
    BEGIN(mem3d_memory_usage);
    FIRST(mem3d_memory_usage, struct_size);
    NEXT(mem3d_memory_usage, reserved);
    NEXT(mem3d_memory_usage, volume_bytes);
    NEXT(mem3d_memory_usage, masks_bytes);
    NEXT(mem3d_memory_usage, features_bytes);
    END("");
    printf("}\n");
    return 0;
}
