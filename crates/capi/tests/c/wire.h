/* A signaling of a program's own: two ends in one process. What one end says is handed to the other in the task that says
 * it, or waits until the other end starts. */
#ifndef WIRE_H
#define WIRE_H

#include "common.h"

#include "esp_peer_signaling.h"

#define WIRE_QUEUE 64

typedef struct wire_end {
    struct wire_end *other;
    bool initiator;
    esp_peer_signaling_cfg_t cfg;
    int started, starts, stops;
    struct {
        esp_peer_signaling_msg_type_t type;
        char *text;
    } queue[WIRE_QUEUE];
    int queued;
} wire_end_t;

static monitor_t wire = {"the wire", PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
static wire_end_t wire_ends[2];

/* With the lock, so that an end that has stopped hears nothing any more. */
static inline void wire_deliver(wire_end_t *end) {
    for (int at = 0; at < end->queued; at++) {
        esp_peer_signaling_msg_t msg = {end->queue[at].type, (uint8_t *)end->queue[at].text,
                                        (int)strlen(end->queue[at].text)};
        CHECK(end->cfg.on_msg(&msg, end->cfg.ctx) == ESP_PEER_ERR_NONE);
        free(end->queue[at].text);
    }
    end->queued = 0;
}

/* `extra_cfg` says which end it is. */
static inline int wire_start(esp_peer_signaling_cfg_t *cfg, esp_peer_signaling_handle_t *sig) {
    int index;
    CHECK(cfg->extra_size == sizeof index && strcmp(cfg->signal_url, "wire:test") == 0);
    memcpy(&index, cfg->extra_cfg, sizeof index);
    wire_end_t *end = &wire_ends[index];
    monitor_lock(&wire);
    CHECK(!end->started);
    end->other = &wire_ends[!index];
    end->initiator = index == 0;
    end->cfg = *cfg;
    end->started = 1;
    end->starts += 1;
    *sig = end;
    esp_peer_signaling_ice_info_t info;
    memset(&info, 0, sizeof info);
    info.is_initiator = end->initiator;
    CHECK(cfg->on_ice_info(&info, cfg->ctx) == ESP_PEER_ERR_NONE);
    CHECK(cfg->on_connected(cfg->ctx) == ESP_PEER_ERR_NONE);
    wire_deliver(end);
    monitor_unlock(&wire);
    return ESP_PEER_ERR_NONE;
}

static inline int wire_send_msg(esp_peer_signaling_handle_t sig, esp_peer_signaling_msg_t *msg) {
    wire_end_t *end = (wire_end_t *)sig, *other = end->other;
    CHECK(msg->size == (int)strlen((char *)msg->data));
    monitor_lock(&wire);
    CHECK(end->started && other->queued < WIRE_QUEUE);
    other->queue[other->queued].type = msg->type;
    other->queue[other->queued].text = strdup((char *)msg->data);
    CHECK(other->queue[other->queued].text);
    other->queued += 1;
    if (other->started) {
        wire_deliver(other);
    }
    monitor_unlock(&wire);
    return ESP_PEER_ERR_NONE;
}

static inline int wire_stop(esp_peer_signaling_handle_t sig) {
    wire_end_t *end = (wire_end_t *)sig;
    monitor_lock(&wire);
    CHECK(end->started);
    end->started = 0;
    end->stops += 1;
    monitor_changed(&wire);
    monitor_unlock(&wire);
    return ESP_PEER_ERR_NONE;
}

static const esp_peer_signaling_impl_t wire_impl = {wire_start, wire_send_msg, wire_stop};

static inline void wire_free(void) {
    for (int end = 0; end < 2; end++) {
        for (int at = 0; at < wire_ends[end].queued; at++) {
            free(wire_ends[end].queue[at].text);
        }
        wire_ends[end].queued = 0;
    }
}

#endif
