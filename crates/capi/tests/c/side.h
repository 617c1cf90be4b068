/* One end of a call in a test: a peer, the task of its main loop, and all that it was told. */
#ifndef SIDE_H
#define SIDE_H

#include "common.h"

#include "esp_peer.h"

#define MAX_STATES 64
#define MAX_CHANNELS 16
#define MAX_MESSAGES 64

typedef struct {
    char label[32];
    const char *label_of_peer;
    uint16_t stream_id;
    int open;
    int closed;
} channel_t;

typedef struct {
    esp_peer_data_channel_type_t type;
    uint16_t stream_id;
    uint8_t *data;
    int size;
} message_t;

typedef struct side {
    esp_peer_handle_t peer;
    struct side *other;
    pthread_t task;

    monitor_t monitor;
    int states[MAX_STATES]; /* How often each state was told. */
    channel_t channels[MAX_CHANNELS];
    int channel_count;
    message_t messages[MAX_MESSAGES];
    int message_count;
    int audio_frames, video_frames, audio_infos, video_infos;
    esp_peer_audio_stream_info_t audio_info;
    esp_peer_video_stream_info_t video_info;
    int closed; /* Nothing may be told any more. */
    int loop_over;

    /* Called for each message, without the lock, before it is noted. */
    void (*on_message)(struct side *side, esp_peer_data_frame_t *frame);
} side_t;

static inline void side_lock(side_t *side) { monitor_lock(&side->monitor); }

static inline void side_unlock(side_t *side) { monitor_unlock(&side->monitor); }

/* To be called with the lock, by whoever changes something. */
static inline void side_change(side_t *side) {
    CHECK(!side->closed);
    monitor_changed(&side->monitor);
}

static inline void side_wait(side_t *side, int ms) { monitor_wait(&side->monitor, ms); }

/* Waits, without the lock, until something holds. */
#define WAIT(side, what) AWAIT(&(side)->monitor, what)

static inline int on_state(esp_peer_state_t state, void *ctx) {
    side_t *side = (side_t *)ctx;
    side_lock(side);
    CHECK((int)state >= 0 && (int)state < MAX_STATES);
    side->states[state] += 1;
    side_change(side);
    side_unlock(side);
    return 0;
}

/* Signaling: what one side says is handed to the other, in the task of the one that says it. */
static inline int on_msg(esp_peer_msg_t *msg, void *ctx) {
    side_t *side = (side_t *)ctx;
    CHECK(msg->type == ESP_PEER_MSG_TYPE_SDP || msg->type == ESP_PEER_MSG_TYPE_CANDIDATE);
    CHECK(msg->size > 0 && (int)strlen((char *)msg->data) == msg->size);
    if (side->other) {
        /* A side that has left takes nothing any more. */
        int code = esp_peer_send_msg(side->other->peer, msg);
        CHECK(code == ESP_PEER_ERR_NONE || code == ESP_PEER_ERR_WRONG_STATE || code == ESP_PEER_ERR_INVALID_ARG);
    }
    return 0;
}

static inline int on_audio_info(esp_peer_audio_stream_info_t *info, void *ctx) {
    side_t *side = (side_t *)ctx;
    side_lock(side);
    side->audio_infos += 1;
    side->audio_info = *info;
    side_change(side);
    side_unlock(side);
    return 0;
}

static inline int on_video_info(esp_peer_video_stream_info_t *info, void *ctx) {
    side_t *side = (side_t *)ctx;
    side_lock(side);
    side->video_infos += 1;
    side->video_info = *info;
    side_change(side);
    side_unlock(side);
    return 0;
}

static inline int on_channel_open(esp_peer_data_channel_info_t *ch, void *ctx) {
    side_t *side = (side_t *)ctx;
    side_lock(side);
    CHECK(side->channel_count < MAX_CHANNELS && strlen(ch->label) < sizeof side->channels[0].label);
    CHECK(side->states[ESP_PEER_STATE_DATA_CHANNEL_OPENED] > side->channel_count);
    channel_t *channel = &side->channels[side->channel_count++];
    memset(channel, 0, sizeof *channel);
    strcpy(channel->label, ch->label);
    channel->label_of_peer = ch->label;
    channel->stream_id = ch->stream_id;
    channel->open = 1;
    side_change(side);
    side_unlock(side);
    return 0;
}

static inline int on_channel_close(esp_peer_data_channel_info_t *ch, void *ctx) {
    side_t *side = (side_t *)ctx;
    side_lock(side);
    int found = 0;
    for (int at = 0; at < side->channel_count; at++) {
        channel_t *channel = &side->channels[at];
        if (channel->open && channel->stream_id == ch->stream_id) {
            /* The label of the opening is still there, and the same. */
            CHECK(strcmp(channel->label_of_peer, ch->label) == 0);
            channel->open = 0;
            channel->closed = 1;
            found = 1;
        }
    }
    if (!found) {
        fprintf(stderr, "%s: unknown channel %u \"%s\"\n", side->monitor.name, ch->stream_id, ch->label);
    }
    CHECK(found);
    side_change(side);
    side_unlock(side);
    return 0;
}

static inline int on_data(esp_peer_data_frame_t *frame, void *ctx) {
    side_t *side = (side_t *)ctx;
    CHECK(frame->type == ESP_PEER_DATA_CHANNEL_DATA || frame->type == ESP_PEER_DATA_CHANNEL_STRING);
    CHECK(frame->data != NULL && frame->size >= 0);
    if (frame->type == ESP_PEER_DATA_CHANNEL_STRING) {
        CHECK((int)strlen((char *)frame->data) == frame->size);
    }
    side_lock(side);
    void (*on_message)(side_t *, esp_peer_data_frame_t *) = side->on_message;
    side_unlock(side);
    if (on_message) {
        on_message(side, frame);
    }
    side_lock(side);
    CHECK(side->message_count < MAX_MESSAGES);
    message_t *message = &side->messages[side->message_count++];
    message->type = frame->type;
    message->stream_id = frame->stream_id;
    message->size = frame->size;
    message->data = (uint8_t *)malloc((size_t)frame->size + 1);
    CHECK(message->data);
    memcpy(message->data, frame->data, (size_t)frame->size);
    monitor_changed(&side->monitor);
    side_unlock(side);
    return 0;
}

static inline void *main_loop(void *ctx) {
    side_t *side = (side_t *)ctx;
    int code;
    /* It ends when the peer is closed. */
    while ((code = esp_peer_main_loop(side->peer)) == ESP_PEER_ERR_NONE) {
    }
    CHECK(code == ESP_PEER_ERR_INVALID_ARG || code == ESP_PEER_ERR_WRONG_STATE);
    side_lock(side);
    side->loop_over = 1;
    monitor_changed(&side->monitor);
    side_unlock(side);
    return NULL;
}

static inline void side_init(side_t *side, const char *name) {
    memset(side, 0, sizeof *side);
    monitor_init(&side->monitor, name);
}

static inline void side_answer(side_t *side, void (*on_message)(side_t *, esp_peer_data_frame_t *)) {
    side_lock(side);
    side->on_message = on_message;
    side_unlock(side);
}

/* A configuration that tells the side of everything but frames. */
static inline esp_peer_cfg_t side_config(side_t *side, esp_peer_role_t role) {
    esp_peer_cfg_t cfg;
    memset(&cfg, 0, sizeof cfg);
    cfg.role = role;
    cfg.enable_data_channel = true;
    cfg.ctx = side;
    cfg.on_state = on_state;
    cfg.on_msg = on_msg;
    cfg.on_audio_info = on_audio_info;
    cfg.on_video_info = on_video_info;
    cfg.on_channel_open = on_channel_open;
    cfg.on_channel_close = on_channel_close;
    cfg.on_data = on_data;
    return cfg;
}

/* The open channel with a label, or NULL; with the lock. */
static inline channel_t *side_channel(side_t *side, const char *label) {
    for (int at = 0; at < side->channel_count; at++) {
        if (side->channels[at].open && strcmp(side->channels[at].label, label) == 0) {
            return &side->channels[at];
        }
    }
    return NULL;
}

/* Waits for a channel and tells its stream. */
static inline uint16_t side_stream(side_t *side, const char *label) {
    WAIT(side, side_channel(side, label) != NULL);
    side_lock(side);
    uint16_t stream_id = side_channel(side, label)->stream_id;
    side_unlock(side);
    return stream_id;
}

/* Sends a message, and waits while there is no room for it. */
static inline void side_send(side_t *side, uint16_t stream_id, esp_peer_data_channel_type_t type, const void *data,
                             int size) {
    esp_peer_data_frame_t frame;
    memset(&frame, 0, sizeof frame);
    frame.type = type;
    frame.stream_id = stream_id;
    frame.data = (uint8_t *)data;
    frame.size = size;
    time_t began = time(NULL);
    int code;
    while ((code = esp_peer_send_data(side->peer, &frame)) == ESP_PEER_ERR_WOULD_BLOCK) {
        CHECK(time(NULL) - began < PATIENCE);
        side_lock(side);
        side_wait(side, 10);
        side_unlock(side);
    }
    CHECK(code == ESP_PEER_ERR_NONE);
}

/* Waits for the next message that came in, and takes it. */
static inline message_t side_take(side_t *side) {
    WAIT(side, side->message_count > 0);
    side_lock(side);
    message_t message = side->messages[0];
    side->message_count -= 1;
    memmove(side->messages, side->messages + 1, (size_t)side->message_count * sizeof side->messages[0]);
    side_unlock(side);
    return message;
}

/* Takes a message that has to be this one. */
static inline void side_expect(side_t *side, uint16_t stream_id, esp_peer_data_channel_type_t type, const void *data,
                               int size) {
    message_t message = side_take(side);
    CHECK(message.stream_id == stream_id && message.type == type && message.size == size);
    CHECK(size == 0 || memcmp(message.data, data, (size_t)size) == 0);
    free(message.data);
}

static inline void side_free(side_t *side) {
    for (int at = 0; at < side->message_count; at++) {
        free(side->messages[at].data);
    }
    monitor_free(&side->monitor);
}

#endif
