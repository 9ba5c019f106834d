/* Two threads on one session: the second gets BUSY, and can cancel the first or free the session. A model serves many
   threads. */
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int inside, release;

static bool wait_inside(const mem3d_progress *progress, void *user_data)
{
    (void)progress;
    (void)user_data;
    atomic_store(&inside, 1);
    while (!atomic_load(&release)) { /* the other thread is quick */
    }
    return true;
}

static void *propagate(void *session)
{
    ZEROED(mem3d_propagate_options, options);
    options.on_slice = wait_inside;
    CHECK(mem3d_session_propagate(session, &options, NULL) == MEM3D_STATUS_CANCELLED);
    CHECK(strstr(mem3d_last_error(), "cancelled") != NULL);
    return NULL;
}

/* A host closes its window while a propagation runs: the propagation ends as cancelled, then the session is gone. */
static void a_session_is_freed_during_a_call(mem3d_model *model)
{
    mem3d_session *session = small_session(model);
    draw_ball_slice(session, 1);
    atomic_store(&inside, 0);
    atomic_store(&release, 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, propagate, session) == 0);
    while (!atomic_load(&inside)) {
    }
    mem3d_session_free(session);
    atomic_store(&release, 1);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void *own_session(void *model)
{
    mem3d_session *session = small_session(model);
    const mem3d_interaction drawn = stroke(1);
    uint8_t *mask = malloc(HEIGHT * WIDTH);
    CHECK(mask != NULL);
    CHECK_OK(mem3d_session_interact(session, &drawn, mask, HEIGHT * WIDTH));
    mem3d_session_free(session);
    return mask;
}

/* With one thread there is nothing to wait for: a forked process goes on. */
static void a_fork_with_one_thread_goes_on(mem3d_session *session)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        const mem3d_interaction drawn = stroke(2);
        CHECK_OK(mem3d_session_interact(session, &drawn, NULL, 0));
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

/* A forked process has none of the threads: it gets an error at once and does not wait for them. */
static void a_fork_is_refused(mem3d_model *model, mem3d_session *session)
{
    CHECK_OK(mem3d_set_thread_count(2));
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(30);
        mem3d_session *other = NULL;
        static int16_t voxels[VOXELS];
        const mem3d_volume_view view = view_of(voxels);
        size_t count = 0;
        CHECK_FAILS(mem3d_session_new(model, &view, NULL, &other), MEM3D_STATUS_INVALID_STATE, "was forked");
        CHECK_FAILS(mem3d_session_get_segments(session, NULL, 0, &count), MEM3D_STATUS_INVALID_STATE, "spawn");
        CHECK(other == NULL);
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    size_t count = 0;
    CHECK_OK(mem3d_session_get_segments(session, NULL, 0, &count)); /* this process goes on */
    CHECK_OK(mem3d_set_thread_count(1));
}

int main(void)
{
    CHECK_OK(mem3d_set_thread_count(1));
    mem3d_model *model = small_model();
    mem3d_session *session = small_session(model);
    draw_ball_slice(session, 1);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, propagate, session) == 0);
    while (!atomic_load(&inside)) {
    }
    size_t count = 0;
    CHECK_OK(mem3d_session_get_segments(session, NULL, 0, &count)); /* as it was before the propagation */
    CHECK(count == 1);
    ZEROED(mem3d_memory_usage, usage);
    CHECK_FAILS(mem3d_session_get_memory_usage(session, &usage), MEM3D_STATUS_BUSY, "another call");
    CHECK(mem3d_session_reset(session, 0) == MEM3D_STATUS_BUSY);
    CHECK_OK(mem3d_session_cancel(session));
    atomic_store(&release, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_OK(mem3d_session_get_segments(session, NULL, 0, &count)); /* free again, and as it was */
    CHECK(count == 1);
    a_fork_with_one_thread_goes_on(session);
    mem3d_session_free(session);

    a_session_is_freed_during_a_call(model);

    pthread_t threads[2];
    void *masks[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, own_session, model) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], &masks[i]) == 0);
    CHECK(memcmp(masks[0], masks[1], HEIGHT * WIDTH) == 0); /* the same calls give the same bytes */
    free(masks[0]);
    free(masks[1]);
    session = small_session(model);
    a_fork_is_refused(model, session);
    mem3d_session_free(session);
    mem3d_model_free(model);
    return 0;
}
