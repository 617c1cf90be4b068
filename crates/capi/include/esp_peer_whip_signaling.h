/**
 * Settings of the signaling by WHIP (RFC 9725).
 *
 * Part of esp-webrtc, MIT or Apache-2.0.
 */
#ifndef ESP_PEER_WHIP_SIGNALING_H
#define ESP_PEER_WHIP_SIGNALING_H

#include "esp_peer_signaling.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a client says who it is. */
typedef enum {
    ESP_PEER_SIGNALING_WHIP_AUTH_TYPE_BEARER = 0, /**< A bearer token. */
    ESP_PEER_SIGNALING_WHIP_AUTH_TYPE_BASIC = 1   /**< A user with a password. */
} esp_peer_signaling_whip_auth_type_t;

/** What `extra_cfg` shows for WHIP; without it the server is told nothing. */
typedef struct {
    esp_peer_signaling_whip_auth_type_t auth_type; /**< Which kind. */
    char *token; /**< The token, or `USER:PASSWORD`; NULL or empty for none. */
} esp_peer_signaling_whip_cfg_t;

#ifdef __cplusplus
}
#endif

#endif
