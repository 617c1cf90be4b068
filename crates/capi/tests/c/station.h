/* One end of a call in a test of the solution: a handle, its media, and all that it was told. */
#ifndef STATION_H
#define STATION_H

#include "common.h"

#include "esp_webrtc.h"
#include "esp_webrtc_defaults.h"

#define MAX_EVENTS 256

typedef struct station {
    esp_webrtc_handle_t rtc;
    esp_capture_handle_t capture;
    av_render_handle_t player;

    monitor_t monitor;
    int events[MAX_EVENTS];
    int event_count;
    char custom[3][64]; /* The last message by each way. */
    int custom_count[3];
    int channels, channels_opened, data_messages;
    int wanted, unwanted, keyframes_asked;
    uint32_t video_bitrate;
    int audio_frames, video_frames, audio_infos, video_infos, hooked;
    int closed; /* Nothing may be told any more. */
    int closed_within;
} station_t;

#define STATION(ctx) station_t *station = (station_t *)(ctx)

/* Notes something, in whatever task it is told. */
#define NOTE_OF_MEDIA(what)                 \
    do {                                    \
        monitor_lock(&station->monitor);    \
        what;                               \
        monitor_changed(&station->monitor); \
        monitor_unlock(&station->monitor);  \
    } while (0)

/* Captures and players may outlive the handle, the handle's own callbacks must not. */
#define NOTE(what) NOTE_OF_MEDIA(CHECK(!station->closed); what)

static inline int on_event(esp_webrtc_event_t *event, void *ctx) {
    STATION(ctx);
    CHECK(event->body == NULL && event->type > ESP_WEBRTC_EVENT_NONE);
    CHECK(event->type <= ESP_WEBRTC_EVENT_DATA_CHANNEL_CLOSED);
    NOTE(CHECK(station->event_count < MAX_EVENTS); station->events[station->event_count++] = event->type);
    return 0;
}

/* Closes the station when it is told so, from within the callback. */
static inline int on_custom_data(esp_webrtc_custom_data_via_t via, uint8_t *data, int size, void *ctx) {
    STATION(ctx);
    CHECK(via == ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING || via == ESP_WEBRTC_CUSTOM_DATA_VIA_DATA_CHANNEL);
    CHECK(size >= 0 && size < 64 && data[size] == 0);
    NOTE(memcpy(station->custom[via], data, (size_t)size + 1); station->custom_count[via] += 1);
    if (size == 5 && memcmp(data, "close", 5) == 0) {
        CHECK(esp_webrtc_close(station->rtc) == ESP_PEER_ERR_NONE);
        CHECK(esp_webrtc_close(station->rtc) == ESP_PEER_ERR_INVALID_ARG);
        NOTE(station->closed = 1; station->closed_within = 1);
    }
    return 0;
}

static inline int on_channel_open(esp_peer_data_channel_info_t *channel, void *ctx) {
    STATION(ctx);
    CHECK(channel->label != NULL);
    NOTE(station->channels += 1; station->channels_opened += 1);
    return 0;
}

static inline int on_channel_close(esp_peer_data_channel_info_t *channel, void *ctx) {
    STATION(ctx);
    CHECK(channel->label != NULL);
    NOTE(station->channels -= 1);
    return 0;
}

static inline int on_data(esp_peer_data_frame_t *frame, void *ctx) {
    STATION(ctx);
    CHECK(frame->size >= 0 && frame->data[frame->size] == 0);
    NOTE(station->data_messages += 1);
    return 0;
}

static inline int on_start(const esp_webrtc_capture_wanted_t *wanted, void *ctx) {
    STATION(ctx);
    CHECK(wanted->audio.codec == ESP_PEER_AUDIO_CODEC_OPUS && wanted->audio.sample_rate == 48000);
    CHECK(wanted->video.codec != ESP_PEER_VIDEO_CODEC_NONE);
    CHECK(wanted->video.width == 320 && wanted->video.height == 240 && wanted->video.fps == 10);
    NOTE_OF_MEDIA(station->wanted += 1);
    return 0;
}

static inline int on_stop(void *ctx) {
    STATION(ctx);
    NOTE_OF_MEDIA(station->unwanted += 1);
    return 0;
}

static inline int on_keyframe(void *ctx) {
    STATION(ctx);
    NOTE_OF_MEDIA(station->keyframes_asked += 1);
    return 0;
}

static inline int on_video_bitrate(uint32_t bitrate, void *ctx) {
    STATION(ctx);
    NOTE_OF_MEDIA(station->video_bitrate = bitrate);
    return 0;
}

static inline int on_audio_info(esp_peer_audio_stream_info_t *info, void *ctx) {
    STATION(ctx);
    CHECK(info->codec == ESP_PEER_AUDIO_CODEC_OPUS);
    NOTE_OF_MEDIA(station->audio_infos += 1);
    return 0;
}

static inline int on_video_info(esp_peer_video_stream_info_t *info, void *ctx) {
    STATION(ctx);
    CHECK(info->codec != ESP_PEER_VIDEO_CODEC_NONE);
    NOTE_OF_MEDIA(station->video_infos += 1);
    return 0;
}

static inline int on_audio_data(esp_peer_audio_frame_t *frame, void *ctx) {
    STATION(ctx);
    CHECK(frame->size == SOUND_SIZE && memcmp(frame->data, SOUND, SOUND_SIZE) == 0);
    NOTE_OF_MEDIA(station->audio_frames += 1);
    return 0;
}

static inline int on_video_data(esp_peer_video_frame_t *frame, void *ctx) {
    STATION(ctx);
    uint8_t picture[PICTURE_SIZE];
    fill_picture(picture);
    CHECK(frame->size == PICTURE_SIZE && memcmp(frame->data, picture, PICTURE_SIZE) == 0);
    NOTE_OF_MEDIA(station->video_frames += 1);
    return 0;
}

/* Opens captures and players of frames. */
static inline void station_media(station_t *station) {
    esp_webrtc_frame_capture_cfg_t capture;
    memset(&capture, 0, sizeof capture);
    capture.ctx = station;
    capture.on_start = on_start;
    capture.on_stop = on_stop;
    capture.on_keyframe = on_keyframe;
    capture.on_video_bitrate = on_video_bitrate;
    CHECK(esp_webrtc_capture_open_frames(&capture, &station->capture) == ESP_PEER_ERR_NONE);
    esp_webrtc_frame_player_cfg_t player;
    memset(&player, 0, sizeof player);
    player.ctx = station;
    player.on_audio_info = on_audio_info;
    player.on_audio_data = on_audio_data;
    player.on_video_info = on_video_info;
    player.on_video_data = on_video_data;
    CHECK(esp_webrtc_player_open_frames(&player, &station->player) == ESP_PEER_ERR_NONE);
}

/* Sound, pictures and data channels both ways, over our peer connection. */
static inline esp_webrtc_cfg_t station_config(station_t *station, const esp_peer_signaling_impl_t *signaling) {
    esp_webrtc_cfg_t cfg;
    memset(&cfg, 0, sizeof cfg);
    cfg.signaling_impl = signaling;
    cfg.peer_impl = esp_peer_get_default_impl();
    cfg.peer_cfg.audio_info.codec = ESP_PEER_AUDIO_CODEC_OPUS;
    cfg.peer_cfg.audio_info.sample_rate = 16000;
    cfg.peer_cfg.audio_info.channel = 1;
    cfg.peer_cfg.audio_dir = ESP_PEER_MEDIA_DIR_SEND_RECV;
    cfg.peer_cfg.video_info.codec = ESP_PEER_VIDEO_CODEC_H264;
    cfg.peer_cfg.video_info.width = 320;
    cfg.peer_cfg.video_info.height = 240;
    cfg.peer_cfg.video_info.fps = 10;
    cfg.peer_cfg.video_dir = ESP_PEER_MEDIA_DIR_SEND_RECV;
    cfg.peer_cfg.enable_data_channel = true;
    cfg.peer_cfg.ctx = station;
    cfg.peer_cfg.on_custom_data = on_custom_data;
    cfg.peer_cfg.on_channel_open = on_channel_open;
    cfg.peer_cfg.on_channel_close = on_channel_close;
    cfg.peer_cfg.on_data = on_data;
    return cfg;
}

static inline void station_open(station_t *station, const char *name, esp_webrtc_cfg_t *cfg) {
    monitor_init(&station->monitor, name);
    station_media(station);
    CHECK(esp_webrtc_open(cfg, &station->rtc) == ESP_PEER_ERR_NONE);
    esp_webrtc_media_provider_t provider = {station->capture, station->player};
    CHECK(esp_webrtc_set_media_provider(station->rtc, &provider) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_set_event_handler(station->rtc, on_event, station) == ESP_PEER_ERR_NONE);
}

/* How often an event was told; with the lock. */
static inline int station_told(station_t *station, esp_webrtc_event_type_t event) {
    int told = 0;
    for (int at = 0; at < station->event_count; at++) {
        told += station->events[at] == (int)event;
    }
    return told;
}

/* Where an event was told first, from a place on; with the lock. */
static inline int station_place(station_t *station, esp_webrtc_event_type_t event) {
    for (int at = 0; at < station->event_count; at++) {
        if (station->events[at] == (int)event) {
            return at;
        }
    }
    CHECK(!"it was never told");
    return -1;
}

static inline void station_wait(station_t *station, esp_webrtc_event_type_t event, int times) {
    AWAIT(&station->monitor, station_told(station, event) >= times);
}

static inline void station_wait_custom(station_t *station, esp_webrtc_custom_data_via_t via, const char *text) {
    AWAIT(&station->monitor, strcmp(station->custom[via], text) == 0);
}

static inline void station_say(station_t *station, esp_webrtc_custom_data_via_t via, const char *text) {
    CHECK(esp_webrtc_send_custom_data(station->rtc, via, (uint8_t *)text, (int)strlen(text)) == ESP_PEER_ERR_NONE);
}

/* Gives frames until so many more came through: nobody promises that all do. */
static inline void station_send_frames(station_t *from, station_t *to, int frames) {
    uint8_t picture[PICTURE_SIZE];
    fill_picture(picture);
    esp_peer_video_frame_t video = {0, picture, PICTURE_SIZE};
    esp_peer_audio_frame_t audio = {0, (uint8_t *)SOUND, SOUND_SIZE};
    time_t began = time(NULL);
    monitor_lock(&to->monitor);
    int audio_frames = to->audio_frames + frames, video_frames = to->video_frames + frames;
    while (to->audio_frames < audio_frames || to->video_frames < video_frames) {
        monitor_wait(&to->monitor, 20);
        monitor_unlock(&to->monitor);
        CHECK(time(NULL) - began < PATIENCE);
        /* Not wanted yet, or not any more. */
        int code = esp_webrtc_capture_send_video(from->capture, &video);
        CHECK(code == ESP_PEER_ERR_NONE || code == ESP_PEER_ERR_WRONG_STATE);
        code = esp_webrtc_capture_send_audio(from->capture, &audio);
        CHECK(code == ESP_PEER_ERR_NONE || code == ESP_PEER_ERR_WRONG_STATE);
        video.pts += 20;
        audio.pts += 20;
        monitor_lock(&to->monitor);
    }
    monitor_unlock(&to->monitor);
}

static inline void station_free_media(station_t *station) {
    CHECK(esp_webrtc_capture_close(station->capture) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_player_close(station->player) == ESP_PEER_ERR_NONE);
}

static inline void station_free(station_t *station) {
    station_free_media(station);
    monitor_free(&station->monitor);
}

#endif
