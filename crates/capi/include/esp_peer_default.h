/**
 * The implementation of a peer connection that comes with esp-webrtc.
 *
 * Part of esp-webrtc, MIT or Apache-2.0.
 *
 * - Descriptions wait until candidates are gathered (a second at most), so that programs that carry no candidates work;
 *   candidates are reported besides, and those of the peer are taken at any time.
 * - It has no threads for a peer: all is done in `esp_peer_main_loop`. A name that has to be resolved takes a thread
 *   meanwhile.
 * - Its log goes to the standard error output: how much of it says the variable ESP_WEBRTC_LOG of the environment
 *   (`off`, `error`, `warn`, `info`, `debug`, `trace`; `info` when it is not set).
 */
#ifndef ESP_PEER_DEFAULT_H
#define ESP_PEER_DEFAULT_H

#include "esp_peer.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Memory of data channels. */
typedef struct {
    uint16_t cache_timeout;   /**< Lifetime in ms of messages on the channel that opens by itself; 0 for 5000. */
    uint32_t send_cache_size; /**< Bytes that may wait to be sent or acknowledged, from 4096; 0 for 4 MiB. */
    uint32_t recv_cache_size; /**< Bytes that may wait for missing parts, from 4096; also the largest message that is
                                   taken, up to 1 MiB; 0 for 4 MiB. Memory is taken as needed, and given back. */
} esp_peer_default_data_ch_cfg_t;

/** How received frames wait for lost packets. */
typedef struct {
    uint16_t cache_timeout;     /**< How long a gap holds back what follows it, in ms; 0 for 100. */
    uint16_t resend_delay;      /**< Time in ms between two requests for the same packet; 0 for 20. */
    uint16_t pli_send_interval; /**< Time in ms between unconditional requests for a key frame; 0 for none. */
    uint32_t cache_size;        /**< Bytes that may wait, 16,000 to 16,000,000; 0 for 100 kB (sound), 400 kB (pictures). */
} esp_peer_default_jitter_cfg_t;

/** RTP. */
typedef struct {
    esp_peer_default_jitter_cfg_t audio_recv_jitter; /**< For sound. */
    esp_peer_default_jitter_cfg_t video_recv_jitter; /**< For pictures. */
    uint32_t send_pool_size;   /**< Bytes of sent packets that are kept, from 16,000; 0 for 400 kB. */
    uint32_t send_queue_num;   /**< How many packets, 8 to 16,384; 0 for 256. */
    uint16_t max_resend_count; /**< How often one packet is sent again at most; 0 for 3. */
} esp_peer_default_rtp_cfg_t;

/**
 * What `extra_cfg` shows; `extra_size` has to be `sizeof(esp_peer_default_cfg_t)`, or 0 with NULL. A zero means the
 * default. Figures beyond a bound are moved to it, with a line in the log.
 *
 * Without this structure IPv6 and streams to TCP candidates are used; with it, its switches decide.
 */
typedef struct {
    uint16_t agent_recv_timeout; /**< How long one `esp_peer_main_loop` waits for the network at most, in ms; 0 for 100. */
    esp_peer_default_data_ch_cfg_t data_ch_cfg; /**< Data channels. */
    esp_peer_default_rtp_cfg_t rtp_cfg;         /**< RTP. */
    bool keep_role;    /**< A role that was given up in a conflict comes back with the next connection. */
    bool ipv6_support; /**< IPv6 addresses are used. */
    bool tcp_support;  /**< TCP candidates are offered and used. TURN servers are reached over TCP in any case. */
    uint8_t max_candidates;      /**< Most local candidates, up to 64; 0 for 16. */
    uint8_t max_tcp_connections; /**< Most streams that are accepted at a time; 0 for 4. */
    uint8_t alive_binding_retries; /**< Times 6 s without an answer after which the peer is lost; 0 for 5, which is also
                                        the most (RFC 7675). 0xFF, never, is not possible, and means the most. */
    bool ice_use_lite_mode; /**< Ignored, with a line in the log: a full agent connects wherever a lite one does. */
    bool insecure_skip_turn_cert_verify; /**< TURN servers over TLS may show any certificate: whoever is on the way can
                                              read their passwords. Only for trials. */
} esp_peer_default_cfg_t;

/** Which ciphers DTLS may use. */
typedef enum {
    ESP_PEER_DTLS_CIPHER_AUTO = 0,    /**< What both sides like best. */
    ESP_PEER_DTLS_CIPHER_AES_GCM = 1, /**< AES-GCM. */
    ESP_PEER_DTLS_CIPHER_CHACHA = 2   /**< ChaCha20-Poly1305. */
} esp_peer_dtls_cipher_pref_t;

/** The table of this implementation; it lives as long as the program. */
const esp_peer_ops_t *esp_peer_get_default_impl(void);

/**
 * The remote address of the pair in use. `ESP_PEER_ERR_WRONG_STATE` before there is one, `ESP_PEER_ERR_NOT_SUPPORT` for
 * peers over another implementation.
 */
int esp_peer_get_paired_addr(esp_peer_handle_t peer, esp_peer_addr_t *addr);

/** Makes the certificate of the next peer that is opened, so that opening it takes less time. */
int esp_peer_pre_generate_cert(void);

/**
 * Which ciphers DTLS may use. The order is not to be changed here, and AES-GCM comes first: so `..._AUTO` and
 * `..._AES_GCM` change nothing, and `..._CHACHA` gives `ESP_PEER_ERR_NOT_SUPPORT`.
 */
int esp_peer_set_dtls_cipher_pref(esp_peer_dtls_cipher_pref_t pref);

/**
 * Whether peers that are opened from now on take loopback addresses as candidates, for trials on one host; off. Only
 * in this implementation.
 */
int esp_peer_set_loopback(bool on);

#ifdef __cplusplus
}
#endif

#endif
