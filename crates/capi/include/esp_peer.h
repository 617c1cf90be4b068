/**
 * A peer connection in C, over any implementation of it.
 *
 * Part of esp-webrtc, MIT or Apache-2.0. See esp_peer_types.h for names, and esp_peer_default.h for the implementation
 * that comes with it (included here, so that this one include is enough).
 *
 * The order of calls:
 *  1. `esp_peer_open`;
 *  2. a task of the program calls `esp_peer_main_loop` over and over;
 *  3. `esp_peer_new_connection`; the local description comes by `on_msg`, and is carried to the peer;
 *  4. what the peer says is handed over by `esp_peer_send_msg`;
 *  5. `on_state` tells `ESP_PEER_STATE_CONNECTED`; frames and data flow;
 *  6. `esp_peer_disconnect`, after which step 3 may follow again;
 *  7. `esp_peer_close`.
 *
 * Tasks: with the default implementation every function may be called by any task at any time, from within callbacks
 * too, but for these: `esp_peer_main_loop` answers `ESP_PEER_ERR_WRONG_STATE` from within a callback or while another
 * task is in it. Callbacks are made by `esp_peer_main_loop` in the task that called it, one after the other, and no
 * lock is held that any function here waits for. What a callback returns is not looked at.
 *
 * Handles are numbers and not addresses: NULL, handles that were closed and handles that never were give
 * `ESP_PEER_ERR_INVALID_ARG`. All other pointers have to be NULL or show what their type says. Callbacks must not throw
 * exceptions or jump out. A defect of this library never unwinds into the program: the function returns
 * `ESP_PEER_ERR_FAIL`, and from then on the handle can only be closed.
 */
#ifndef ESP_PEER_H
#define ESP_PEER_H

#include "esp_peer_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An open peer connection. */
typedef void *esp_peer_handle_t;

/** What a peer connection is to do, and whom it tells. A callback may be NULL. */
typedef struct {
    esp_peer_ice_server_cfg_t *server_lists; /**< STUN and TURN servers. */
    uint8_t server_num;                      /**< How many; 0 for none. */
    esp_peer_role_t role;                    /**< Who makes the offer. */
    esp_peer_ice_trans_policy_t ice_trans_policy; /**< Which candidates may be used. */
    esp_peer_audio_stream_info_t audio_info; /**< Sound. */
    esp_peer_video_stream_info_t video_info; /**< Pictures. */
    esp_peer_media_dir_t audio_dir;          /**< Which way sound may flow. */
    esp_peer_media_dir_t video_dir;          /**< Which way pictures may flow. */
    bool no_auto_reconnect;   /**< A lost path is not searched anew, and a peer that began anew is not followed. */
    bool enable_data_channel; /**< With data channels. */
    bool manual_ch_create;    /**< None is opened by itself; otherwise the SCTP client (the DTLS client) opens one. */
    void *extra_cfg;          /**< For the implementation; see esp_peer_default.h. NULL for none. */
    int extra_size;           /**< Its bytes. */
    void *ctx;                /**< For the callbacks. */

    /** The state changed, or something happened that has a state. */
    int (*on_state)(esp_peer_state_t state, void *ctx);
    /** A description or a candidate has to be carried to the peer. */
    int (*on_msg)(esp_peer_msg_t *info, void *ctx);
    /** The peer's pictures are about to arrive; once more when their size is known or changes. */
    int (*on_video_info)(esp_peer_video_stream_info_t *info, void *ctx);
    /** The peer's sound is about to arrive. */
    int (*on_audio_info)(esp_peer_audio_stream_info_t *info, void *ctx);
    /** A packet of sound. */
    int (*on_audio_data)(esp_peer_audio_frame_t *frame, void *ctx);
    /** A picture. */
    int (*on_video_data)(esp_peer_video_frame_t *frame, void *ctx);
    /** A data channel is open. */
    int (*on_channel_open)(esp_peer_data_channel_info_t *ch, void *ctx);
    /** A message arrived on a data channel. */
    int (*on_data)(esp_peer_data_frame_t *frame, void *ctx);
    /** A data channel closed. */
    int (*on_channel_close)(esp_peer_data_channel_info_t *ch, void *ctx);
} esp_peer_cfg_t;

/**
 * An implementation of a peer connection; a program may bring its own. Entries that are NULL, but for `open`, answer
 * `ESP_PEER_ERR_NOT_SUPPORT`. `open` gives a handle of its own, which the other entries are called with.
 */
typedef struct {
    int (*open)(esp_peer_cfg_t *cfg, esp_peer_handle_t *peer);
    int (*new_connection)(esp_peer_handle_t peer);
    int (*update_ice_info)(esp_peer_handle_t peer, esp_peer_role_t role, esp_peer_ice_server_cfg_t *server,
                           int server_num);
    int (*send_msg)(esp_peer_handle_t peer, esp_peer_msg_t *msg);
    int (*send_video)(esp_peer_handle_t peer, esp_peer_video_frame_t *frame);
    int (*send_audio)(esp_peer_handle_t peer, esp_peer_audio_frame_t *frame);
    int (*send_data)(esp_peer_handle_t peer, esp_peer_data_frame_t *frame);
    int (*create_data_channel)(esp_peer_handle_t peer, esp_peer_data_channel_cfg_t *ch_cfg);
    int (*close_data_channel)(esp_peer_handle_t peer, const char *label);
    int (*main_loop)(esp_peer_handle_t peer);
    int (*disconnect)(esp_peer_handle_t peer);
    int (*query)(esp_peer_handle_t peer);
    int (*close)(esp_peer_handle_t peer);
    int (*set_rtp_transformer)(esp_peer_handle_t peer, esp_peer_rtp_transform_role_t role,
                               esp_peer_rtp_transform_cb_t *transform_cb, void *ctx);
} esp_peer_ops_t;

/**
 * Opens a peer connection over an implementation; the table is copied.
 *
 * With the default implementation everything in `cfg` is copied. `ESP_PEER_ERR_INVALID_ARG` for NULL arguments, unknown
 * numbers, text that is not UTF-8, a wrong `extra_size`, and a connection that is to carry nothing;
 * `ESP_PEER_ERR_NOT_SUPPORT` for `ESP_PEER_VIDEO_CODEC_MJPEG`, which does not travel over RTP: send such pictures over a
 * data channel. `*peer` is NULL after an error.
 */
int esp_peer_open(esp_peer_cfg_t *cfg, const esp_peer_ops_t *ops, esp_peer_handle_t *peer);

/** Begins a connection. `ESP_PEER_ERR_WRONG_STATE` while there is one. */
int esp_peer_new_connection(esp_peer_handle_t peer);

/** Opens a data channel, as soon as both sides have agreed on data channels (`ESP_PEER_ERR_WRONG_STATE` before). */
int esp_peer_create_data_channel(esp_peer_handle_t peer, esp_peer_data_channel_cfg_t *ch_cfg);

/**
 * Closes the first open data channel with this label, behind what was sent on it. `on_channel_close` follows;
 * `ESP_PEER_ERR_NOT_EXISTS` when there is none.
 */
int esp_peer_close_data_channel(esp_peer_handle_t peer, const char *label);

/** Sets the role of the next connection and the servers of this one and the next; both are replaced. */
int esp_peer_update_ice_info(esp_peer_handle_t peer, esp_peer_role_t role, esp_peer_ice_server_cfg_t *server,
                             int server_num);

/**
 * Installs a transformer, or removes it when `transform_cb` is NULL. The two pointers to functions are copied; they are
 * called by the task in `esp_peer_main_loop` (or, for what is sent, closed or queried meanwhile, by the task that does
 * so), and must not call functions for the same peer but those that send. With the default implementation a frame is a
 * whole encoded frame: before it is cut into RTP packets, or after it was put together.
 */
int esp_peer_set_rtp_transformer(esp_peer_handle_t peer, esp_peer_rtp_transform_role_t role,
                                 esp_peer_rtp_transform_cb_t *transform_cb, void *ctx);

/** Hands over what came from the peer; the data are copied. `ESP_PEER_ERR_WRONG_STATE` without a connection. */
int esp_peer_send_msg(esp_peer_handle_t peer, esp_peer_msg_t *msg);

/**
 * Sends a picture, which is copied. `ESP_PEER_ERR_WRONG_STATE` before the connection is up, `ESP_PEER_ERR_NOT_SUPPORT`
 * when the peer takes none, `ESP_PEER_ERR_WOULD_BLOCK` when the send pool is full.
 */
int esp_peer_send_video(esp_peer_handle_t peer, esp_peer_video_frame_t *frame);

/** Sends a packet of sound; as `esp_peer_send_video`. */
int esp_peer_send_audio(esp_peer_handle_t peer, esp_peer_audio_frame_t *frame);

/**
 * Sends a message on a data channel; it is copied. `ESP_PEER_ERR_NOT_EXISTS` when no channel is open on its stream,
 * `ESP_PEER_ERR_WOULD_BLOCK` when the send memory is full, `ESP_PEER_ERR_OVER_LIMITED` when the peer takes none so large.
 */
int esp_peer_send_data(esp_peer_handle_t peer, esp_peer_data_frame_t *frame);

/** Waits for the network, for a bounded time, does what is due, and makes callbacks. To be called over and over. */
int esp_peer_main_loop(esp_peer_handle_t peer);

/** Ends the connection; `esp_peer_new_connection` may follow. The peer is told by the next `esp_peer_main_loop`. */
int esp_peer_disconnect(esp_peer_handle_t peer);

/** Writes states and figures to the log. */
int esp_peer_query(esp_peer_handle_t peer);

/**
 * Ends the connection for good and gives everything back.
 *
 * A callback that another task is in is waited for. When this returns, no callback is running and none begins any more,
 * except for the one that it was called from. The last one is `on_state` with `ESP_PEER_STATE_CLOSED`, made by this
 * function itself.
 */
int esp_peer_close(esp_peer_handle_t peer);

#ifdef __cplusplus
}
#endif

#include "esp_peer_default.h"

#endif
