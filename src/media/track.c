#include "media/track.h"

struct track track_share(const struct track *track)
{
    struct track copy = *track;
    copy.extradata = buffer_ref(track->extradata);
    return copy;
}

void track_done(struct track *track)
{
    buffer_unref(&track->extradata);
    *track = (struct track){0};
}
