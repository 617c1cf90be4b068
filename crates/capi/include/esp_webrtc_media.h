/**
 * Where a solution takes its frames from, and where it puts those of the peer.
 *
 * Part of esp-webrtc, MIT or Apache-2.0. The two types of handles have the names that they have on a chip, where libraries
 * of the maker are behind them; here the functions of this file make them. A program that has cameras, encoders, decoders
 * or screens of its own opens a capture and a player "of frames": it gives encoded frames by
 * `esp_webrtc_capture_send_video` and `..._send_audio`, and takes the peer's by callbacks.
 *
 * A capture or a player may be given to any number of solutions and be closed before or after them. When its `close` has
 * returned, none of its callbacks is running and none begins any more, except for the one that it was called from.
 * Callbacks are made by tasks of the library; a callback of a player that blocks holds up what this peer sends to us, and
 * nothing else.
 */
#ifndef ESP_WEBRTC_MEDIA_H
#define ESP_WEBRTC_MEDIA_H

#include "esp_peer_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A source of encoded sound and pictures. */
typedef void *esp_capture_handle_t;

/** Where received sound and pictures go. */
typedef void *av_render_handle_t;

/** A generated picture and melody; zeros mean the default. */
typedef struct {
    int width;     /**< Pixels, 64 to 4096; 0 for 640. */
    int height;    /**< Pixels, 64 to 4096; 0 for 480. */
    int fps;       /**< Pictures a second, 1 to 120; 0 for 25. */
    bool no_video; /**< Sound alone. */
    bool no_audio; /**< Pictures alone. */
} esp_webrtc_test_capture_cfg_t;

/** Files that are played in a loop. */
typedef struct {
    const char *video; /**< H.264 as a byte stream (`.h264`) or in MP4; NULL for none. */
    int fps;           /**< Pictures a second of a byte stream that does not say; 0 for what it says. */
    const char *audio; /**< WAV; NULL for none. */
} esp_webrtc_file_capture_cfg_t;

/** Which frames are wanted. */
typedef struct {
    esp_peer_audio_stream_info_t audio; /**< The sound, `..._NONE` for none; Opus at 48000. */
    esp_peer_video_stream_info_t video; /**< The pictures, `..._NONE` for none; 0 leaves a figure to the program. */
    uint32_t audio_bitrate;             /**< Bits a second, 0 leaves it to the program. */
    uint32_t video_bitrate;             /**< Bits a second, 0 leaves it to the program. */
} esp_webrtc_capture_wanted_t;

/** What a capture of frames asks its program for. A callback may be NULL. */
typedef struct {
    void *ctx; /**< For the callbacks. */
    /** Frames are wanted from now on: a peer is connected. Another result than 0 refuses. */
    int (*on_start)(const esp_webrtc_capture_wanted_t *wanted, void *ctx);
    /** No frames are wanted any more. */
    int (*on_stop)(void *ctx);
    /** The next picture should be a key frame. */
    int (*on_keyframe)(void *ctx);
    /** The target for sound changed, in bits a second. */
    int (*on_audio_bitrate)(uint32_t bitrate, void *ctx);
    /** The target for pictures changed, in bits a second: by the program, or since the peer takes so much. */
    int (*on_video_bitrate)(uint32_t bitrate, void *ctx);
} esp_webrtc_frame_capture_cfg_t;

/** Who takes the peer's frames, encoded as they came. A callback may be NULL. */
typedef struct {
    void *ctx; /**< For the callbacks. */
    /** Sound is about to arrive and looks like this. */
    int (*on_audio_info)(esp_peer_audio_stream_info_t *info, void *ctx);
    /** A packet of sound. */
    int (*on_audio_data)(esp_peer_audio_frame_t *frame, void *ctx);
    /** Pictures are about to arrive; once more when their size is known or changes. */
    int (*on_video_info)(esp_peer_video_stream_info_t *info, void *ctx);
    /** A picture. Another result than 0 says that it was lost: the peer is asked for a key frame. */
    int (*on_video_data)(esp_peer_video_frame_t *frame, void *ctx);
} esp_webrtc_frame_player_cfg_t;

/** A capture of the test picture with the clock and of the melody; NULL for the default. */
int esp_webrtc_capture_open_test(const esp_webrtc_test_capture_cfg_t *cfg, esp_capture_handle_t *capture);

/** A capture of files. `ESP_PEER_ERR_INVALID_ARG` for files that are not there or cannot be used; the log says why. */
int esp_webrtc_capture_open_file(const esp_webrtc_file_capture_cfg_t *cfg, esp_capture_handle_t *capture);

/** A capture of frames that the program gives. It serves one connection at a time. */
int esp_webrtc_capture_open_frames(const esp_webrtc_frame_capture_cfg_t *cfg, esp_capture_handle_t *capture);

/**
 * Gives a picture to a capture of frames; it is copied. The first one has to be a key frame: others are dropped, and asked
 * for by `on_keyframe`. `ESP_PEER_ERR_WRONG_STATE` while no pictures are wanted, `ESP_PEER_ERR_NOT_SUPPORT` for other
 * captures. What the network does not take is dropped and counted.
 */
int esp_webrtc_capture_send_video(esp_capture_handle_t capture, esp_peer_video_frame_t *frame);

/** Gives a packet of sound to a capture of frames; as `esp_webrtc_capture_send_video`. */
int esp_webrtc_capture_send_audio(esp_capture_handle_t capture, esp_peer_audio_frame_t *frame);

/** Ends a capture. A solution that has it goes on without frames. */
int esp_webrtc_capture_close(esp_capture_handle_t capture);

/** A player that decodes and counts, and keeps nothing. */
int esp_webrtc_player_open_null(av_render_handle_t *player);

/**
 * A player that writes sound (WAV) and pictures (MP4) to files `DIR/STEM.wav` and `DIR/STEM.mp4`, with `-2`, `-3` and so on
 * for further connections. The directory is made when it is missing.
 */
int esp_webrtc_player_open_file(const char *dir, const char *stem, av_render_handle_t *player);

/** A player that hands frames to the program. */
int esp_webrtc_player_open_frames(const esp_webrtc_frame_player_cfg_t *cfg, av_render_handle_t *player);

/** Ends a player. A solution that has it drops what arrives. */
int esp_webrtc_player_close(av_render_handle_t player);

#ifdef __cplusplus
}
#endif

#endif
