/* What dispatch and a node say to each other: typed messages, whatever the link carries them over.
 *
 * A job has one source and N renditions. A node runs it on `slots` lanes; a segment is given to one
 * slot, and its packets follow on that slot in decode order. Each slot has a window (job_window):
 * all messages to a slot but SLOT_RESET cost one credit, and dispatch sends no more than credits
 * came back for. Control messages count too, because a segment may be as short as one packet.
 *
 * The names follow the wire protocol's (JOB_CREATE, SEGMENT_DATA, ...), which carries the same.
 * Memory: a message owns its packet, frame and track; message_done drops them. */
#ifndef LINK_MESSAGE_H
#define LINK_MESSAGE_H

#include "base/error.h"
#include "media/frame.h"
#include "media/packet.h"
#include "media/rate_cap.h"
#include "media/rendition.h"
#include "media/track.h"

#define JOB_SLOTS_MAX 64
#define JOB_WINDOW_MESSAGES 64
#define JOB_WINDOW_FRAMES 16 /* of raw input, where a message is a whole picture */
#define JOB_CREDIT_BUNDLE 8  /* a node gives credits back once it owes so many */

struct job_params {
    struct track source; /* owned */
    int renditions_count;
    struct rendition_params renditions[RENDITIONS_MAX];
    int64_t gop_us;
    enum deinterlace_mode deinterlace;
    bool timestamps_by_order, low_latency, intra_refresh, raw_input, strip_dynamic_hdr, no_fallback;
    bool streaming; /* results go out as they come; nothing is kept for another try, and
                     * time stamps that go back are an error */
    int slots;      /* lanes wanted, 1..JOB_SLOTS_MAX; 0: the node's own choice */
    int threads;    /* processors that the lanes share, about; 0: all of the device */
};

enum message_type {
    /* node to dispatch */
    MESSAGE_HELLO = 1,    /* `hello`: once, first */
    MESSAGE_JOB_ACK,      /* `slots`; this or JOB_REJECT, once */
    MESSAGE_JOB_REJECT,   /* `error` */
    MESSAGE_CREDIT,       /* `slot`, `credits`: so many more messages may be sent */
    MESSAGE_PICTURE,      /* `slot`, `track`: the source as the job's first picture shows it, from
                           * a slot that was not told; before its first HEADER. To a slot, before
                           * a BEGIN: what its encoders are to be opened for, as all others' */
    MESSAGE_HEADER,       /* `slot`, `rendition`, `track`: before the rendition's first packet */
    MESSAGE_RESULT,       /* `slot`, `segment`, `packet` (of packet.rendition) */
    MESSAGE_SEGMENT_DONE, /* `slot`, `segment`, `done`: not before the segment's end is told, by
                           * TAIL or END */
    MESSAGE_NOTE,         /* `slot`, `error.text`: a line for the user */
    MESSAGE_SLOT_FAILED,  /* `slot`, `error`, `lacks_room`: what the slot had not done is lost; it
                           * drops all until SLOT_RESET */
    MESSAGE_JOB_FINISHED, /* all lanes are closed */
    /* dispatch to node */
    MESSAGE_JOB_CREATE,     /* `job` */
    MESSAGE_SEGMENT_BEGIN,  /* `slot`, `segment`, `pts` = start, `ordinal` = of the first packet */
    MESSAGE_SEGMENT_PACKET, /* `slot`, `packet` */
    MESSAGE_SEGMENT_FRAME,  /* `slot`, `frame` (raw input) */
    MESSAGE_SEGMENT_TAIL,   /* `slot`, `pts` = end */
    MESSAGE_SEGMENT_END,    /* `slot` */
    MESSAGE_SLOT_DRAIN,     /* `slot`: no further segment is at hand, let all come out */
    MESSAGE_SLOT_RESET,     /* `slot`, `alone`: answer to SLOT_FAILED; what follows is meant anew */
    MESSAGE_JOB_CANCEL,     /* drop all and answer JOB_FINISHED */
    MESSAGE_JOB_COMPLETE,   /* no more segments: drain, then JOB_FINISHED */
};

struct node_hello {
    char device[32]; /* "cpu", "cuda:0" */
};

struct message {
    enum message_type type;
    uint32_t job; /* dispatch's number for it */
    uint32_t slot, segment, rendition;
    int credits, slots;
    bool lacks_room; /* SLOT_FAILED: the device has not encoders for as many slots */
    bool alone;      /* SLOT_RESET: this slot makes the whole stream, with whatever encodes */
    int64_t pts;
    uint64_t ordinal;
    uint16_t permille[RENDITIONS_MAX]; /* BEGIN: of the target bit rates; 1000 but after a redo */
    struct rate_mark mark;             /* BEGIN: in front of the segment's first frame */
    struct packet packet;
    struct frame *frame;
    union { /* owned, one block a message, for the rare large ones */
        void *block;
        struct node_hello *hello;
        struct job_params *job_params;
        struct track *track;
        struct segment_done *done;
        struct error *error;
    };
};

/* Messages that may be under way to a slot. */
static inline int job_window(const struct job_params *params)
{
    return params->raw_input ? JOB_WINDOW_FRAMES : JOB_WINDOW_MESSAGES;
}

/* Allocates the block that the type calls for; MEMORY with msg->block left NULL. */
int message_block(struct message *msg);

/* Whether a message from a peer has what its type calls for and its texts end: only then may its
 * block be looked at. Says nothing of numbers. */
bool message_whole(const struct message *msg);

/* Drops what the message owns and zeroes it. */
void message_done(struct message *msg);

#endif
