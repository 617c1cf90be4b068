/**
 * The solution in C: signaling, a peer connection and media behind a few settings.
 *
 * Part of esp-webrtc, MIT or Apache-2.0. Names, numbers and the order of fields are those of the `esp_webrtc` interface, so
 * that programs can move over; everything else is this project's own. esp_webrtc_media.h makes captures and players,
 * esp_webrtc_defaults.h names the signalings and the peer connection that come with this library.
 *
 * The order of calls:
 *  1. `esp_webrtc_open`;
 *  2. `esp_webrtc_set_media_provider`, `esp_webrtc_set_event_handler`;
 *  3. `esp_webrtc_start`, and `esp_webrtc_enable_peer_connection` where the connection waits for it;
 *  4. `esp_webrtc_stop`, after which step 3 may follow again;
 *  5. `esp_webrtc_close`.
 *
 * Tasks: every function may be called by any task, from within callbacks too. All callbacks are made by tasks of the
 * library: events and messages by signaling by one, what the peer connection tells by another, `on_video_send` by that of the
 * capture. What a callback returns is looked at where it says so.
 *
 * Stopping and closing: outside of callbacks, `esp_webrtc_stop` and `esp_webrtc_close` wait until the peer and the server
 * were told and all tasks have ended, which takes some seconds at most where the implementations are ours. From within a
 * callback of this library they wait for no task: the rest ends behind the callback. When `esp_webrtc_close` has returned, no
 * callback of the handle is running in another task and none begins any more; so of two tasks that are in callbacks of
 * one handle, the one that closes it waits for the other one's callback to end.
 *
 * Handles are numbers and not addresses: NULL, handles that were closed and handles that never were give
 * `ESP_PEER_ERR_INVALID_ARG`. Callbacks must not throw exceptions or jump out. A defect of this library never unwinds into
 * the program: the function returns `ESP_PEER_ERR_FAIL`.
 */
#ifndef ESP_WEBRTC_H
#define ESP_WEBRTC_H

#include "esp_peer.h"
#include "esp_peer_signaling.h"
#include "esp_webrtc_media.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An open solution. */
typedef void *esp_webrtc_handle_t;

/** Which way a message of the application goes. */
typedef enum {
    ESP_WEBRTC_CUSTOM_DATA_VIA_NONE = 0,        /**< None. */
    ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING = 1,   /**< By signaling, also before the peers are connected; UTF-8 text. */
    ESP_WEBRTC_CUSTOM_DATA_VIA_DATA_CHANNEL = 2 /**< By the first data channel that is open. */
} esp_webrtc_custom_data_via_t;

/** What the peer connection is to do. A callback may be NULL. */
typedef struct {
    esp_peer_ice_server_cfg_t *server_lists; /**< Servers for when signaling names none. */
    uint8_t server_num;                      /**< How many; 0 for none. */
    esp_peer_ice_trans_policy_t ice_trans_policy; /**< Which candidates may be used. */
    esp_peer_audio_stream_info_t audio_info; /**< Sound. */
    esp_peer_video_stream_info_t video_info; /**< Pictures. */
    esp_peer_media_dir_t audio_dir;          /**< Which way sound may flow. */
    esp_peer_media_dir_t video_dir;          /**< Which way pictures may flow. */
    bool enable_data_channel;                /**< With data channels. */
    bool manual_ch_create;                   /**< No data channel is opened by itself. */
    bool video_over_data_channel; /**< Pictures go by a data channel, not by RTP; then all that arrives is pictures. */
    bool video_dc_chunked;        /**< Such pictures go in chunks; otherwise whole, one message each. */
    uint16_t video_dc_chunk_size; /**< Bytes of a picture in one chunk; 0 for 10,000. */
    bool no_auto_reconnect; /**< The first connection waits for `esp_webrtc_enable_peer_connection`, and so does the next
                                 one after an end. Otherwise it begins at once, and lost ones begin anew. */
    void *extra_cfg;        /**< For the implementation of the peer connection; NULL for none. It is copied. */
    int extra_size;         /**< Its bytes. */
    void *ctx;              /**< For the callbacks. */

    /** A message of the peer's application, with a zero behind its last byte. */
    int (*on_custom_data)(esp_webrtc_custom_data_via_t via, uint8_t *data, int size, void *ctx);
    /** A data channel is open. */
    int (*on_channel_open)(esp_peer_data_channel_info_t *ch, void *ctx);
    /** A message arrived on a data channel; `on_custom_data` is told of it, too. */
    int (*on_data)(esp_peer_data_frame_t *frame, void *ctx);
    /** A data channel closed. */
    int (*on_channel_close)(esp_peer_data_channel_info_t *ch, void *ctx);
    /**
     * A captured picture is about to be sent. The program may change `data` and `size` to show bytes of its own, which have
     * to stay until it is called again. Another result than 0 drops the picture.
     */
    int (*on_video_send)(esp_peer_video_frame_t *frame, void *ctx);
} esp_webrtc_peer_cfg_t;

/** Which server signaling talks to. */
typedef struct {
    char *signal_url; /**< The server. */
    void *extra_cfg;  /**< For the implementation; NULL for none. Its bytes are copied, what pointers in it show is not,
                           but where the implementation is ours. */
    int extra_size;   /**< Its bytes. */
    void *ctx;        /**< Not used; an implementation is called with a context of ours. */
} esp_webrtc_signaling_cfg_t;

/** What a solution is made of. */
typedef struct {
    const esp_peer_signaling_impl_t *signaling_impl; /**< The signaling; not NULL. The table is copied. */
    esp_webrtc_signaling_cfg_t signaling_cfg;        /**< Its settings. */
    const esp_peer_ops_t *peer_impl;                 /**< The peer connection; NULL for that of esp_peer_default.h. */
    esp_webrtc_peer_cfg_t peer_cfg;                  /**< Its settings. */
} esp_webrtc_cfg_t;

/** What happened. */
typedef enum {
    ESP_WEBRTC_EVENT_NONE = 0,                      /**< Nothing; never told. */
    ESP_WEBRTC_EVENT_CONNECTING = 1,                /**< A connection begins. */
    ESP_WEBRTC_EVENT_PAIRED = 2,                    /**< Two addresses that reach each other were found. */
    ESP_WEBRTC_EVENT_CONNECTED = 3,                 /**< Frames can flow. */
    ESP_WEBRTC_EVENT_CONNECT_FAILED = 4,            /**< No connection came about. */
    ESP_WEBRTC_EVENT_DISCONNECTED = 5,              /**< The connection ended. */
    ESP_WEBRTC_EVENT_DATA_CHANNEL_CONNECTED = 6,    /**< Data channels can be used. */
    ESP_WEBRTC_EVENT_DATA_CHANNEL_DISCONNECTED = 7, /**< Data channels can no longer be used. */
    ESP_WEBRTC_EVENT_DATA_CHANNEL_OPENED = 8,       /**< A data channel opened. */
    ESP_WEBRTC_EVENT_DATA_CHANNEL_CLOSED = 9        /**< A data channel closed. */
} esp_webrtc_event_type_t;

/** One event. */
typedef struct {
    esp_webrtc_event_type_t type; /**< What happened. */
    char *body;                   /**< Always NULL here. */
} esp_webrtc_event_t;

/** Where frames come from and go to. */
typedef struct {
    esp_capture_handle_t capture; /**< A capture; NULL for none. */
    av_render_handle_t player;    /**< A player; NULL for none. */
} esp_webrtc_media_provider_t;

/** Takes events. */
typedef int (*esp_webrtc_event_handler_t)(esp_webrtc_event_t *event, void *ctx);

/**
 * Makes a solution; everything in `cfg` is copied, but for what a foreign `extra_cfg` points to. With our peer connection,
 * its `extra_cfg` is that of esp_peer_default.h, of which `agent_recv_timeout` and `keep_role` mean nothing here.
 * `ESP_PEER_ERR_INVALID_ARG` for NULL arguments and for what `esp_peer_open` and `esp_peer_signaling_start` would refuse.
 * `*rtc_handle` is NULL after an error.
 */
int esp_webrtc_open(esp_webrtc_cfg_t *cfg, esp_webrtc_handle_t *rtc_handle);

/** Sets the capture and the player of the next `esp_webrtc_start`; the structure is copied. */
int esp_webrtc_set_media_provider(esp_webrtc_handle_t rtc_handle, esp_webrtc_media_provider_t *provider);

/** Whether the program starts and stops the capture itself: then `on_start` and `on_stop` of a capture of frames are not
 * called. From the next `esp_webrtc_start` on. */
int esp_webrtc_set_no_auto_capture(esp_webrtc_handle_t rtc_handle, bool no_auto_capture);

/** Sets who is told of events; NULL for nobody. */
int esp_webrtc_set_event_handler(esp_webrtc_handle_t rtc_handle, esp_webrtc_event_handler_t handler, void *ctx);

/** Lets the connection begin, or ends it; signaling stays. Before `esp_webrtc_start`: whether it begins by itself. */
int esp_webrtc_enable_peer_connection(esp_webrtc_handle_t rtc_handle, bool enable);

/** Sets the target for pictures in bits a second; 0 leaves it to the capture. */
int esp_webrtc_set_video_bitrate(esp_webrtc_handle_t rtc_handle, uint32_t bitrate);

/** Sets the target for sound in bits a second; 0 leaves it to the capture. */
int esp_webrtc_set_audio_bitrate(esp_webrtc_handle_t rtc_handle, uint32_t bitrate);

/**
 * Starts signaling, and with it all that follows. `ESP_PEER_ERR_WRONG_STATE` when it was started already; what `start` of
 * the signaling returned, when that was an error (from within a callback that is not waited for).
 */
int esp_webrtc_start(esp_webrtc_handle_t rtc_handle);

/**
 * Sends a message to the peer's application; it is copied. `ESP_PEER_ERR_WRONG_STATE` when not started,
 * `ESP_PEER_ERR_NOT_EXISTS` when no data channel is open. By data channel it is sent as text where it is UTF-8. By signaling
 * it is waited for what becomes of it, but for calls from within callbacks.
 */
int esp_webrtc_send_custom_data(esp_webrtc_handle_t rtc_handle, esp_webrtc_custom_data_via_t via, uint8_t *data,
                                int size);

/**
 * The peer connection, for the functions of esp_peer.h; `ESP_PEER_ERR_WRONG_STATE` before signaling has told who offers. It
 * is good until `esp_webrtc_stop`. Its main loop and its end are the solution's: `esp_peer_main_loop` and `esp_peer_close`
 * give `ESP_PEER_ERR_WRONG_STATE`.
 */
int esp_webrtc_get_peer_connection(esp_webrtc_handle_t rtc_handle, esp_peer_handle_t *peer_handle);

/** Ends the connection and begins a new one; signaling stays. `ESP_PEER_ERR_WRONG_STATE` when not started. */
int esp_webrtc_restart(esp_webrtc_handle_t rtc_handle);

/** Writes states and figures to the log. `ESP_PEER_ERR_WRONG_STATE` when not connected. */
int esp_webrtc_query(esp_webrtc_handle_t rtc_handle);

/**
 * Disconnects and leaves. Channels that were open are told closed, and a connection that was up disconnected, before this
 * returns, but not when it was called from within a callback. Does nothing when not started.
 */
int esp_webrtc_stop(esp_webrtc_handle_t rtc_handle);

/** Stops without a further callback, and gives everything back; captures and players stay, and have an end of their own. */
int esp_webrtc_close(esp_webrtc_handle_t rtc_handle);

#ifdef __cplusplus
}
#endif

#endif
