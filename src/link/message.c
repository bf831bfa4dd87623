#include "link/message.h"

#include <stdlib.h>
#include <string.h>

static size_t block_size(enum message_type type)
{
    switch (type) {
    case MESSAGE_HELLO:
        return sizeof(struct node_hello);
    case MESSAGE_JOB_CREATE:
        return sizeof(struct job_params);
    case MESSAGE_PICTURE:
    case MESSAGE_HEADER:
        return sizeof(struct track);
    case MESSAGE_SEGMENT_DONE:
        return sizeof(struct segment_done);
    case MESSAGE_JOB_REJECT:
    case MESSAGE_SLOT_FAILED:
    case MESSAGE_NOTE:
        return sizeof(struct error);
    default:
        return 0;
    }
}

int message_block(struct message *msg)
{
    size_t size = block_size(msg->type);
    msg->block = size ? calloc(1, size) : NULL;
    return size && !msg->block ? RGPU_ERROR_MEMORY : 0;
}

static bool ends(const char *text, size_t size)
{
    return memchr(text, 0, size) != NULL;
}

#define ENDS(array) ends(array, sizeof(array))

static bool job_whole(const struct job_params *job)
{
    for (int i = 0; i < RENDITIONS_MAX; i++)
        if (!ENDS(job->renditions[i].codec) || !ENDS(job->renditions[i].profile) ||
            !ENDS(job->renditions[i].name))
            return false;
    return ENDS(job->source.codec);
}

bool message_whole(const struct message *msg)
{
    if (block_size(msg->type) && !msg->block)
        return false;
    switch (msg->type) {
    case MESSAGE_HELLO:
        return ENDS(msg->hello->device);
    case MESSAGE_JOB_CREATE:
        return job_whole(msg->job_params);
    case MESSAGE_PICTURE:
    case MESSAGE_HEADER:
        return ENDS(msg->track->codec);
    case MESSAGE_JOB_REJECT:
    case MESSAGE_SLOT_FAILED:
    case MESSAGE_NOTE:
        return ENDS(msg->error->text);
    default:
        return true;
    }
}

void message_done(struct message *msg)
{
    if (msg->block) {
        if (msg->type == MESSAGE_JOB_CREATE)
            track_done(&msg->job_params->source);
        if (msg->type == MESSAGE_PICTURE || msg->type == MESSAGE_HEADER)
            track_done(msg->track);
        free(msg->block);
    }
    packet_done(&msg->packet);
    frame_unref(&msg->frame);
    *msg = (struct message){0};
}
