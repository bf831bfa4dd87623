#include "media/packet.h"

struct packet packet_share(const struct packet *pkt)
{
    struct packet copy = *pkt;
    copy.buf = buffer_ref(pkt->buf);
    copy.extradata = buffer_ref(pkt->extradata);
    copy.palette = buffer_ref(pkt->palette);
    return copy;
}

struct packet packet_move(struct packet *from)
{
    struct packet moved = *from;
    *from = (struct packet){0};
    return moved;
}

void packet_done(struct packet *pkt)
{
    buffer_unref(&pkt->buf);
    buffer_unref(&pkt->extradata);
    buffer_unref(&pkt->palette);
    *pkt = (struct packet){0};
}
