/**
 * Types of the C interface of a peer connection: codes, states, frames, messages.
 *
 * Part of esp-webrtc, MIT or Apache-2.0. Names, numbers and the order of fields are those of the `esp_peer`
 * interface, so that programs can move over; everything else is this project's own.
 *
 * Unless it says otherwise, what a pointer shows is borrowed for the duration of one call, both ways.
 */
#ifndef ESP_PEER_TYPES_H
#define ESP_PEER_TYPES_H

#include <stdbool.h>
#include <stdint.h>

/* Unions without a name came with C11; with C99 compilers have them as an extension. */
#if defined(__GNUC__) && !defined(__cplusplus)
#define ESP_PEER_UNION __extension__ union
#else
#define ESP_PEER_UNION union
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** What every function returns. */
typedef enum {
    ESP_PEER_ERR_NONE = 0,         /**< It worked. */
    ESP_PEER_ERR_INVALID_ARG = -1, /**< An argument makes no sense, or the handle is not (or no more) one of ours. */
    ESP_PEER_ERR_NO_MEM = -2,      /**< Bounds on memory leave no room. */
    ESP_PEER_ERR_WRONG_STATE = -3, /**< Not possible now. */
    ESP_PEER_ERR_NOT_SUPPORT = -4, /**< Not negotiated with the peer, or not part of the implementation. */
    ESP_PEER_ERR_NOT_EXISTS = -5,  /**< No such data channel. */
    ESP_PEER_ERR_FAIL = -6,        /**< It failed; the log says why. */
    ESP_PEER_ERR_OVER_LIMITED = -7, /**< Over a limit, for example of the size of a message. */
    ESP_PEER_ERR_BAD_DATA = -8,    /**< What came from the peer makes no sense. */
    ESP_PEER_ERR_WOULD_BLOCK = -9  /**< A queue is full: try again later, or with the next frame. */
} esp_peer_err_t;

/** Where a connection stands, or what just happened to it. */
typedef enum {
    ESP_PEER_STATE_CLOSED = 0,             /**< Closed for good: the last callback, made by `esp_peer_close`. */
    ESP_PEER_STATE_DISCONNECTED = 1,       /**< Not connected any more; a new connection may follow. */
    ESP_PEER_STATE_NEW_CONNECTION = 2,     /**< A new connection begins. */
    ESP_PEER_STATE_CANDIDATE_GATHERING = 3, /**< Local candidates are being gathered. */
    ESP_PEER_STATE_PAIRING = 4,            /**< Pairs of addresses are being checked. */
    ESP_PEER_STATE_PAIRED = 5,             /**< A pair works; `esp_peer_get_paired_addr` names it. */
    ESP_PEER_STATE_CONNECTING = 6,         /**< The DTLS handshake runs. */
    ESP_PEER_STATE_CONNECTED = 7,          /**< Frames can flow. */
    ESP_PEER_STATE_CONNECT_FAILED = 8,     /**< No connection came about. */
    ESP_PEER_STATE_DATA_CHANNEL_CONNECTED = 9,     /**< What carries data channels (SCTP) is up. */
    ESP_PEER_STATE_DATA_CHANNEL_OPENED = 10,       /**< A data channel opened; `on_channel_open` follows. */
    ESP_PEER_STATE_DATA_CHANNEL_CLOSED = 11,       /**< A data channel closed; `on_channel_close` follows. */
    ESP_PEER_STATE_DATA_CHANNEL_DISCONNECTED = 12, /**< What carried data channels ended. */
    ESP_PEER_STATE_REMOTE_AUDIO_TRACK_ADDED = 13,  /**< The peer sends sound. */
    ESP_PEER_STATE_REMOTE_AUDIO_TRACK_REMOVED = 14, /**< The peer stopped sending sound. */
    ESP_PEER_STATE_REMOTE_VIDEO_TRACK_ADDED = 15,  /**< The peer sends pictures. */
    ESP_PEER_STATE_REMOTE_VIDEO_TRACK_REMOVED = 16, /**< The peer stopped sending pictures. */
    ESP_PEER_STATE_VIDEO_PLI_RECEIVED = 17         /**< The peer asks for a key frame. */
} esp_peer_state_t;

/** A STUN or TURN server. */
typedef struct {
    char *stun_url; /**< `stun:`, `stuns:`, `turn:` or `turns:` URL; not NULL. */
    char *user;     /**< User name, NULL for none. */
    char *psw;      /**< Password, NULL for none. */
} esp_peer_ice_server_cfg_t;

/** Which candidates may be used. */
typedef enum {
    ESP_PEER_ICE_TRANS_POLICY_ALL = 0,  /**< All. */
    ESP_PEER_ICE_TRANS_POLICY_RELAY = 1 /**< Relayed ones only. */
} esp_peer_ice_trans_policy_t;

/** Who makes the offer. */
typedef enum {
    ESP_PEER_ROLE_CONTROLLING = 0, /**< This side: `esp_peer_new_connection` reports an offer. */
    ESP_PEER_ROLE_CONTROLLED = 1   /**< The peer: its offer, handed over by `esp_peer_send_msg`, is answered. */
} esp_peer_role_t;

/** Codecs for pictures. */
typedef enum {
    ESP_PEER_VIDEO_CODEC_NONE = 0, /**< No pictures. */
    ESP_PEER_VIDEO_CODEC_H264 = 1, /**< H.264, frames as Annex B byte stream. */
    ESP_PEER_VIDEO_CODEC_MJPEG = 2 /**< Motion JPEG; by data channel only, see `esp_peer_open`. */
} esp_peer_video_codec_t;

/** Codecs for sound. */
typedef enum {
    ESP_PEER_AUDIO_CODEC_NONE = 0,  /**< No sound. */
    ESP_PEER_AUDIO_CODEC_G711A = 1, /**< G.711 A-law, 8000 Hz, one channel. */
    ESP_PEER_AUDIO_CODEC_G711U = 2, /**< G.711 mu-law, 8000 Hz, one channel. */
    ESP_PEER_AUDIO_CODEC_OPUS = 3   /**< Opus, one or two channels. */
} esp_peer_audio_codec_t;

/** What pictures look like. */
typedef struct {
    esp_peer_video_codec_t codec; /**< Codec. */
    int width;                    /**< Pixels; 0 when not known. */
    int height;                   /**< Pixels; 0 when not known. */
    int fps;                      /**< Frames a second; 0 when not known. */
} esp_peer_video_stream_info_t;

/** What sound is like. */
typedef struct {
    esp_peer_audio_codec_t codec; /**< Codec. */
    uint32_t sample_rate;         /**< Hz; 0 for what the codec has. Opus is always announced with 48000. */
    uint8_t channel;              /**< 1 or 2; 0 for 1. */
} esp_peer_audio_stream_info_t;

/** Which way a medium flows, as bits. */
typedef enum {
    ESP_PEER_MEDIA_DIR_NONE = 0,      /**< Not at all. */
    ESP_PEER_MEDIA_DIR_SEND_ONLY = 1, /**< To the peer. */
    ESP_PEER_MEDIA_DIR_RECV_ONLY = 2, /**< From the peer. */
    ESP_PEER_MEDIA_DIR_SEND_RECV = 3  /**< Both ways. */
} esp_peer_media_dir_t;

/** One encoded picture. */
typedef struct {
    uint32_t pts;  /**< Presentation time in ms; it may wrap around. */
    uint8_t *data; /**< Encoded bytes. */
    int size;      /**< How many, at least 1. */
} esp_peer_video_frame_t;

/** One encoded packet of sound. */
typedef struct {
    uint32_t pts;  /**< Presentation time in ms; it may wrap around. */
    uint8_t *data; /**< Encoded bytes. */
    int size;      /**< How many, at least 1. */
} esp_peer_audio_frame_t;

/** What a message on a data channel holds. */
typedef enum {
    ESP_PEER_DATA_CHANNEL_NONE = 0,  /**< Nothing; never sent. */
    ESP_PEER_DATA_CHANNEL_DATA = 1,  /**< Bytes. */
    ESP_PEER_DATA_CHANNEL_STRING = 2 /**< UTF-8 text; when received, a zero follows its last byte. */
} esp_peer_data_channel_type_t;

/** One message on a data channel. */
typedef struct {
    esp_peer_data_channel_type_t type; /**< Bytes or text. */
    uint16_t stream_id;                /**< The channel, as `on_channel_open` named it. */
    uint8_t *data;                     /**< The message; NULL is allowed for an empty one. */
    int size;                          /**< Its bytes, 0 or more; the zero behind text is not counted. */
} esp_peer_data_frame_t;

/** What goes between two peers before they are connected. */
typedef enum {
    ESP_PEER_MSG_TYPE_NONE = 0,     /**< Nothing. */
    ESP_PEER_MSG_TYPE_SDP = 1,      /**< A session description. */
    ESP_PEER_MSG_TYPE_CANDIDATE = 2 /**< A candidate, `candidate:...` (`a=candidate:...` is taken, too). */
} esp_peer_msg_type_t;

/** One such message. */
typedef struct {
    esp_peer_msg_type_t type; /**< Which kind. */
    uint8_t *data;            /**< UTF-8 text; in `on_msg` a zero follows its last byte. */
    int size;                 /**< Its bytes, that zero not counted; a zero that is counted is left out. */
} esp_peer_msg_t;

/** How hard a data channel tries. */
typedef enum {
    ESP_PEER_DATA_CHANNEL_RELIABLE = 0,                 /**< Until a message arrives. */
    ESP_PEER_DATA_CHANNEL_PARTIAL_RELIABLE_TIMEOUT = 1, /**< For a time. */
    ESP_PEER_DATA_CHANNEL_PARTIAL_RELIABLE_RETX = 2     /**< With a number of retransmissions. */
} esp_peer_data_channel_reliable_type_t;

/** A data channel to be opened. */
typedef struct {
    esp_peer_data_channel_reliable_type_t type; /**< How hard it tries. */
    bool ordered;                               /**< Messages arrive in the order of their sending. */
    char *label;                                /**< UTF-8 name, NULL for an empty one. */
    ESP_PEER_UNION {
        uint16_t max_retransmit_count; /**< For `..._RETX`: retransmissions. */
        uint16_t max_packet_lifetime;  /**< For `..._TIMEOUT`: ms. */
    };
} esp_peer_data_channel_cfg_t;

/** A data channel that is open, or was. */
typedef struct {
    const char *label;  /**< Its name up to the first zero; valid until `on_channel_close` for it has returned. */
    uint16_t stream_id; /**< Its SCTP stream. */
} esp_peer_data_channel_info_t;

/** An address. */
typedef struct {
    uint8_t family; /**< The system's `AF_INET` or `AF_INET6`. */
    uint16_t port;  /**< In the byte order of the host. */
    ESP_PEER_UNION {
        uint8_t ipv4[4];
        uint8_t ipv6[16];
    };
} esp_peer_addr_t;

/** Which frames an RTP transformer sees. */
typedef enum {
    ESP_PEER_RTP_TRANSFORM_ROLE_SENDER = 0,  /**< On their way out. */
    ESP_PEER_RTP_TRANSFORM_ROLE_RECEIVER = 1 /**< On their way in. */
} esp_peer_rtp_transform_role_t;

/** A frame that is being transformed. */
typedef struct {
    uint8_t *orig_data;    /**< The frame before. */
    uint32_t orig_size;    /**< Its bytes. */
    uint8_t *encoded_data; /**< Where the result goes; `orig_data` itself when in place. */
    uint32_t encoded_size; /**< Room there; `transform` sets it to the bytes of the result. */
    uint8_t payload_type;  /**< RTP payload type. */
} esp_peer_rtp_frame_t;

/** Rewrites encoded frames, for example to encrypt them from end to end. */
typedef struct {
    /**
     * Sets `encoded_size` to the most bytes that the frame can become, and `in_place` (false at first) to true when
     * one buffer is enough. Another result than 0 lets the frame pass as it is.
     */
    int (*get_encoded_size)(esp_peer_rtp_frame_t *frame, bool *in_place, void *ctx);
    /** Transforms the frame and sets `encoded_size`. Another result than 0 drops the frame. */
    int (*transform)(esp_peer_rtp_frame_t *frame, void *ctx);
} esp_peer_rtp_transform_cb_t;

#ifdef __cplusplus
}
#endif

#endif
