/**
 * Settings of the signaling by a video room of a Janus server.
 *
 * Part of esp-webrtc, MIT or Apache-2.0.
 */
#ifndef ESP_PEER_JANUS_SIGNALING_H
#define ESP_PEER_JANUS_SIGNALING_H

#include "esp_peer_signaling.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What `extra_cfg` shows for Janus, where it is not to be NULL. A text that is NULL or empty is none. */
typedef struct {
    uint64_t room_id;       /**< The number of the room, not 0. */
    const char *token;      /**< A token of our own, where the server asks for one. */
    const char *pin;        /**< The PIN of the room. */
    const char *display;    /**< The name that others in the room see. */
    const char *api_secret; /**< The secret that the server asks of all its clients. */
} esp_peer_signaling_janus_cfg_t;

#ifdef __cplusplus
}
#endif

#endif
