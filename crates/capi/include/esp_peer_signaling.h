/**
 * Signaling in C: what carries descriptions, candidates and byes between two peers, over any implementation of it.
 *
 * Part of esp-webrtc, MIT or Apache-2.0. Names, numbers and the order of fields are those of the `esp_peer_signaling`
 * interface. Implementations that come with this library are named in esp_webrtc_defaults.h.
 *
 * The order of calls:
 *  1. `esp_peer_signaling_start`;
 *  2. `on_ice_info` tells who offers and which server there is, then `on_connected` that messages can be sent;
 *  3. `esp_peer_signaling_send_msg` and `on_msg` carry messages;
 *  4. `esp_peer_signaling_stop`, which leaves; `on_close` is the last callback.
 *
 * Tasks: with our implementations every function may be called by any task, from within callbacks too; callbacks are made
 * one after the other by a task of the implementation, and what they return is not looked at. When
 * `esp_peer_signaling_stop` has returned, no callback is running and none begins any more, except for the one that it was
 * called from (in that case `on_close` is not told). Handles are numbers: NULL, handles that were stopped and handles that
 * never were give `ESP_PEER_ERR_INVALID_ARG`.
 */
#ifndef ESP_PEER_SIGNALING_H
#define ESP_PEER_SIGNALING_H

#include "esp_peer_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Who offers, and a server. */
typedef struct {
    esp_peer_ice_server_cfg_t server_info; /**< A STUN or TURN server; its URL is NULL when there is none. */
    bool is_initiator;                     /**< This side makes the offer. */
} esp_peer_signaling_ice_info_t;

/** A signaling that was started. */
typedef void *esp_peer_signaling_handle_t;

/** What goes between two peers. */
typedef enum {
    ESP_PEER_SIGNALING_MSG_NONE = 0,      /**< Nothing. */
    ESP_PEER_SIGNALING_MSG_SDP = 1,       /**< A session description. */
    ESP_PEER_SIGNALING_MSG_CANDIDATE = 2, /**< A candidate, `candidate:...`. */
    ESP_PEER_SIGNALING_MSG_BYE = 3,       /**< The peer leaves; without data. */
    ESP_PEER_SIGNALING_MSG_CUSTOMIZED = 4 /**< A message of the application. */
} esp_peer_signaling_msg_type_t;

/** One such message. */
typedef struct {
    esp_peer_signaling_msg_type_t type; /**< Which kind. */
    uint8_t *data;                      /**< UTF-8 text; in `on_msg` a zero follows its last byte. */
    int size;                           /**< Its bytes, that zero not counted; a zero that is counted is left out. */
} esp_peer_signaling_msg_t;

/** Which server, and whom it tells. A callback may be NULL. */
typedef struct {
    /** Who offers and which server there is; again whenever that changes. */
    int (*on_ice_info)(esp_peer_signaling_ice_info_t *info, void *ctx);
    /** Messages can be sent; again after the server was lost and is back. */
    int (*on_connected)(void *ctx);
    /** The peer says something. */
    int (*on_msg)(esp_peer_signaling_msg_t *msg, void *ctx);
    /** It has ended. */
    int (*on_close)(void *ctx);
    char *signal_url; /**< The server. */
    void *extra_cfg;  /**< For the implementation; NULL for none. */
    int extra_size;   /**< Its bytes. */
    void *ctx;        /**< For the callbacks. */
} esp_peer_signaling_cfg_t;

/**
 * An implementation of signaling; a program may bring its own. `start` gives a handle of its own, which the other entries
 * are called with. An implementation may call back from within `start`, and from any task until `stop` has returned.
 */
typedef struct {
    int (*start)(esp_peer_signaling_cfg_t *cfg, esp_peer_signaling_handle_t *sig);
    int (*send_msg)(esp_peer_signaling_handle_t sig, esp_peer_signaling_msg_t *msg);
    int (*stop)(esp_peer_signaling_handle_t sig);
} esp_peer_signaling_impl_t;

/**
 * Starts a signaling over an implementation; the table is copied, and with our implementations all that `cfg` shows.
 * `ESP_PEER_ERR_INVALID_ARG` for NULL arguments, for a table without `start`, and for a URL or an `extra_cfg` that cannot
 * be. `*sig` is NULL after an error.
 */
int esp_peer_signaling_start(esp_peer_signaling_cfg_t *cfg, const esp_peer_signaling_impl_t *impl,
                             esp_peer_signaling_handle_t *sig);

/**
 * Sends a message to the peer, which is copied; it waits while the server is out of reach.
 * `ESP_PEER_ERR_WOULD_BLOCK` when too much is waiting, `ESP_PEER_ERR_WRONG_STATE` after the end,
 * `ESP_PEER_ERR_NOT_SUPPORT` for what the signaling does not carry (WHIP: messages of the application).
 */
int esp_peer_signaling_send_msg(esp_peer_signaling_handle_t sig, esp_peer_signaling_msg_t *msg);

/** Leaves and gives everything back; with our implementations it returns when the server was told, after some seconds at most. */
int esp_peer_signaling_stop(esp_peer_signaling_handle_t sig);

#ifdef __cplusplus
}
#endif

#endif
