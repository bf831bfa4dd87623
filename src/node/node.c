#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "node/lane.h"

struct node_job {
    bool used;
    struct node *node;
    uint32_t id;
    struct session_params session_params; /* owns its source track */
    int slots;
    struct lane *lanes; /* owned array */
    int lanes_running;  /* atomic: feeders that have not ended */
};

struct node {
    struct node_params params;
    struct device_info device;
    struct link *link;
    pthread_t thread;
    struct node_job jobs[NODE_JOBS_MAX]; /* node's thread only */
};

static struct node_job *find_job(struct node *node, uint32_t id)
{
    for (int i = 0; i < NODE_JOBS_MAX; i++)
        if (node->jobs[i].used && node->jobs[i].id == id)
            return &node->jobs[i];
    return NULL;
}

/* Waits for the lanes and frees the job's place. */
static void remove_job(struct node_job *job)
{
    for (int i = 0; i < job->slots; i++)
        lane_join(&job->lanes[i]);
    free(job->lanes);
    track_done(&job->session_params.source);
    *job = (struct node_job){0};
}

/* Runs on the feeder of each lane as its last act; the last one answers for the job. */
static void lane_ended(void *opaque)
{
    struct node_job *job = opaque;
    struct link *link = job->node->link;
    struct message msg = {.type = MESSAGE_JOB_FINISHED, .job = job->id};
    if (__atomic_sub_fetch(&job->lanes_running, 1, __ATOMIC_ACQ_REL) == 0)
        link_send(link, &msg, -1);
}

/* ---- creating a job ------------------------------------------------------------------------ */

/* Lanes that a device is best used with. One that encodes by itself has few sessions to give, and
 * works on all rungs of a lane side by side. With the CPU's encoders one lane keeps their
 * look-ahead in memory once and does not decode joints twice; but the threads of an encoder wait
 * for each other, and four lanes keep sixteen processors busier than two (docs/PERFORMANCE.md);
 * beyond that, memory counts. Where one encoder is all there is, a second lane has work meanwhile.
 */
static int slots_for(struct node *node, const struct job_params *params)
{
    const int cores_per_lane = 4, cores_per_lane_many = 8, many = 4;
    int slots = params->slots;
    if (slots <= 0) {
        const int cores = params->threads > 0 ? params->threads : node->device.cores;
        const int least =
            params->renditions_count == 1 && cores > 1 && !params->low_latency ? 2 : 1;
        slots = cores / cores_per_lane;
        if (slots > many)
            slots = cores / cores_per_lane_many > many ? cores / cores_per_lane_many : many;
        if (slots < least)
            slots = least;
        /* Asked only where it counts: the answer may take a while. */
        if (slots > 1 && node->device.kind != DEVICE_CPU) {
            codec_backend(node->device.kind)->examine(&node->device);
            slots = node->device.encodes ? 1 : slots;
        }
    }
    return slots < JOB_SLOTS_MAX ? slots : JOB_SLOTS_MAX;
}

static void fill_session_params(struct node_job *job, struct job_params *params)
{
    const struct node *node = job->node;
    int threads = params->threads > 0 ? params->threads : node->device.cores;
    struct session_params *s = &job->session_params;
    *s = (struct session_params){
        .device_kind = node->params.kind,
        .device = node->params.device,
        .source = params->source,
        .renditions_count = params->renditions_count,
        .gop_us = params->gop_us,
        .deinterlace = params->deinterlace,
        .timestamps_by_order = params->timestamps_by_order,
        .low_latency = params->low_latency,
        .intra_refresh = params->intra_refresh,
        .raw_input = params->raw_input,
        .rising_times = params->streaming,
        .strip_dynamic_hdr = params->strip_dynamic_hdr,
        .no_fallback = params->no_fallback,
        .joined = job->slots > 1,
        /* Lanes share the processors; one more each fills the gaps that joints leave. */
        .threads = job->slots > 1 ? threads / job->slots + 1 : threads,
    };
    params->source = (struct track){0};
    for (int i = 0; i < params->renditions_count; i++)
        s->renditions[i] = params->renditions[i];
}

static void reject(struct node *node, uint32_t id, int code, const char *text)
{
    struct message msg = {.type = MESSAGE_JOB_REJECT, .job = id};
    if (message_block(&msg) != 0) {
        link_shutdown(node->link);
        return;
    }
    error_set(msg.error, code, "%s", text);
    link_send(node->link, &msg, -1);
    message_done(&msg);
}

/* Frees the places of all jobs whose lanes have ended; gives one that is free. */
static struct node_job *free_place(struct node *node)
{
    struct node_job *place = NULL;
    for (int i = NODE_JOBS_MAX - 1; i >= 0; i--) {
        struct node_job *job = &node->jobs[i];
        if (job->used && __atomic_load_n(&job->lanes_running, __ATOMIC_ACQUIRE) == 0)
            remove_job(job);
        if (!job->used)
            place = job;
    }
    return place;
}

static void create_job(struct node *node, struct message *msg)
{
    struct job_params *params = msg->job_params;
    struct node_job *job = free_place(node);
    if (!job) {
        reject(node, msg->job, RGPU_ERROR_LIMIT, "the node runs as many jobs as it can");
        return;
    }
    if (find_job(node, msg->job)) {
        reject(node, msg->job, RGPU_ERROR_PARAM, "a job of that number is running already");
        return;
    }
    if (params->renditions_count < 1 || params->renditions_count > RENDITIONS_MAX) {
        reject(node, msg->job, RGPU_ERROR_PARAM, "a job needs 1 to 16 renditions");
        return;
    }
    *job = (struct node_job){.used = true, .node = node, .id = msg->job};
    job->slots = slots_for(node, params);
    job->lanes = calloc((size_t)job->slots, sizeof(*job->lanes));
    if (!job->lanes) {
        *job = (struct node_job){0};
        reject(node, msg->job, RGPU_ERROR_MEMORY, "out of memory for the lanes of a job");
        return;
    }
    fill_session_params(job, params);
    job->lanes_running = job->slots;
    for (int i = 0; i < job->slots; i++) {
        struct lane *lane = &job->lanes[i];
        lane->link = node->link;
        lane->session_params = &job->session_params;
        lane->job = job->id;
        lane->slot = (uint32_t)i;
        if (lane_start(lane, lane_ended, job) == 0)
            continue;
        /* Those that run are told to end; the count cannot reach 0, so nobody answers FINISHED. */
        for (int k = 0; k < i; k++)
            lane_cancel(&job->lanes[k]);
        remove_job(job);
        reject(node, msg->job, RGPU_ERROR_MEMORY, "cannot start threads for the lanes of a job");
        return;
    }
    struct message ack = {.type = MESSAGE_JOB_ACK, .job = job->id, .slots = job->slots};
    link_send(node->link, &ack, -1);
}

/* ---- serving ------------------------------------------------------------------------------- */

static void route(struct node *node, struct message *msg)
{
    struct node_job *job = find_job(node, msg->job);
    if (!job)
        return; /* ended already: late messages of a cancelled job */
    switch (msg->type) {
    case MESSAGE_JOB_COMPLETE:
        for (int i = 0; i < job->slots; i++)
            lane_finish(&job->lanes[i]);
        break;
    case MESSAGE_JOB_CANCEL:
        for (int i = 0; i < job->slots; i++)
            lane_cancel(&job->lanes[i]);
        break;
    default:
        /* A peer that overruns a window or names a slot that is none is broken: hang up. */
        if (msg->slot >= (uint32_t)job->slots || lane_deliver(&job->lanes[msg->slot], msg) != 0)
            link_shutdown(node->link);
        break;
    }
}

static void say_hello(struct node *node)
{
    struct message msg = {.type = MESSAGE_HELLO};
    if (message_block(&msg) != 0) {
        link_shutdown(node->link);
        return;
    }
    if (node->params.kind == DEVICE_CPU)
        snprintf(msg.hello->device, sizeof(msg.hello->device), "cpu");
    else
        snprintf(msg.hello->device, sizeof(msg.hello->device), "cuda:%d", node->params.device);
    link_send(node->link, &msg, -1);
    message_done(&msg);
}

static void *serve(void *opaque)
{
    struct node *node = opaque;
    struct message msg = {0};
    say_hello(node);
    while (link_receive(node->link, -1, &msg) == 0) {
        if (!message_whole(&msg))
            link_shutdown(node->link); /* a broken peer */
        else if (msg.type == MESSAGE_JOB_CREATE)
            create_job(node, &msg);
        else
            route(node, &msg);
        message_done(&msg);
    }
    for (int i = 0; i < NODE_JOBS_MAX; i++) {
        struct node_job *job = &node->jobs[i];
        if (!job->used)
            continue;
        for (int k = 0; k < job->slots; k++)
            lane_cancel(&job->lanes[k]);
        remove_job(job);
    }
    return NULL;
}

static int find_device(const struct node_params *params, struct device_info *ret, struct error *err)
{
    struct device_info devices[64];
    const struct codec_backend *backend = codec_backend(params->kind);
    int count = backend ? backend->devices(devices, 64) : 0;
    for (int i = 0; i < count && i < 64; i++) {
        if (devices[i].index == params->device) {
            *ret = devices[i];
            return 0;
        }
    }
    return error_set(err, RGPU_ERROR_DEVICE, "no such device: %s:%d",
                     params->kind == DEVICE_CPU ? "cpu" : "cuda", params->device);
}

int node_start(struct node **ret, const struct node_params *params, struct link *link,
               struct error *err)
{
    struct node *node = calloc(1, sizeof(*node));
    if (!node) {
        link_close(&link);
        return error_memory(err, "a node");
    }
    node->params = *params;
    node->link = link;
    int result = find_device(params, &node->device, err);
    if (result == 0 && thread_start(&node->thread, serve, node) != 0)
        result = error_set(err, RGPU_ERROR_MEMORY, "cannot start a thread for the node");
    if (result != 0) {
        link_close(&node->link);
        free(node);
        return result;
    }
    *ret = node;
    return 0;
}

void node_stop(struct node **node)
{
    struct node *n = *node;
    *node = NULL;
    if (!n)
        return;
    link_shutdown(n->link);
    pthread_join(n->thread, NULL);
    link_close(&n->link);
    free(n);
}
