/**
 * The implementations of signaling and of a peer connection that come with this library.
 *
 * Part of esp-webrtc, MIT or Apache-2.0. Each table lives as long as the program.
 */
#ifndef ESP_WEBRTC_DEFAULTS_H
#define ESP_WEBRTC_DEFAULTS_H

#include "esp_peer.h"
#include "esp_peer_janus_signaling.h"
#include "esp_peer_signaling.h"
#include "esp_peer_whip_signaling.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Signaling by an AppRTC room server. `signal_url` names the room: `https://HOST/r/ROOM`, `.../join/ROOM` or `.../ROOM`;
 * `extra_cfg` is not looked at. It carries all kinds of messages. When the peer leaves, `on_msg` tells its bye and
 * `on_ice_info` the role of who stays. A server that is lost is joined anew by itself.
 */
const esp_peer_signaling_impl_t *esp_signaling_get_apprtc_impl(void);

/**
 * Signaling by WHIP: this side publishes to a media server. `signal_url` is its endpoint, `extra_cfg` an
 * `esp_peer_signaling_whip_cfg_t` or NULL.
 */
const esp_peer_signaling_impl_t *esp_signaling_get_whip_impl(void);

/**
 * Signaling by Janus: this side publishes into a video room. `signal_url` is the server's, as in
 * `https://HOST/janus`, `extra_cfg` an `esp_peer_signaling_janus_cfg_t`.
 */
const esp_peer_signaling_impl_t *esp_signaling_get_janus_impl(void);

#ifdef __cplusplus
}
#endif

#endif
