/* Two solutions of one program call each other over a signaling of the program's own. */
#include "station.h"
#include "wire.h"

#define FRAMES 5

static station_t a, b;

/* The picture goes as bytes of the program's own. */
static int on_video_send(esp_peer_video_frame_t *frame, void *ctx) {
    STATION(ctx);
    static uint8_t own[PICTURE_SIZE];
    CHECK(frame->size == PICTURE_SIZE);
    memcpy(own, frame->data, PICTURE_SIZE);
    frame->data = own;
    NOTE(station->hooked += 1);
    return 0;
}

static void open_station(station_t *station, const char *name, int index) {
    esp_webrtc_cfg_t cfg = station_config(station, &wire_impl);
    char url[] = "wire:test";
    cfg.signaling_cfg.signal_url = url;
    cfg.signaling_cfg.extra_cfg = &index;
    cfg.signaling_cfg.extra_size = sizeof index;
    cfg.peer_cfg.on_video_send = on_video_send;
    esp_peer_default_cfg_t extra;
    memset(&extra, 0, sizeof extra);
    extra.ipv6_support = true;
    cfg.peer_cfg.extra_cfg = &extra;
    cfg.peer_cfg.extra_size = sizeof extra;
    station_open(station, name, &cfg);
    /* They were copied. */
    memset(&cfg, 0xff, sizeof cfg);
    memset(&extra, 0xff, sizeof extra);
    memset(url, 'x', sizeof url - 1);
    index = -1;
}

static void check_order(station_t *station) {
    static const esp_webrtc_event_type_t order[] = {ESP_WEBRTC_EVENT_CONNECTING, ESP_WEBRTC_EVENT_PAIRED,
                                                    ESP_WEBRTC_EVENT_CONNECTED, ESP_WEBRTC_EVENT_DATA_CHANNEL_CONNECTED,
                                                    ESP_WEBRTC_EVENT_DATA_CHANNEL_OPENED};
    monitor_lock(&station->monitor);
    CHECK(station->events[0] == ESP_WEBRTC_EVENT_CONNECTING);
    for (size_t at = 1; at < sizeof order / sizeof order[0]; at++) {
        CHECK(station_place(station, order[at - 1]) < station_place(station, order[at]));
        CHECK(station_told(station, order[at]) == 1);
    }
    monitor_unlock(&station->monitor);
}

static void check_peer(station_t *station) {
    esp_peer_handle_t peer = NULL;
    esp_peer_addr_t addr;
    CHECK(esp_webrtc_get_peer_connection(station->rtc, &peer) == ESP_PEER_ERR_NONE && peer != NULL);
    CHECK(esp_peer_get_paired_addr(peer, &addr) == ESP_PEER_ERR_NONE && addr.port != 0);
    CHECK(esp_peer_main_loop(peer) == ESP_PEER_ERR_WRONG_STATE);
    CHECK(esp_peer_close(peer) == ESP_PEER_ERR_WRONG_STATE);
    esp_peer_data_channel_cfg_t channel;
    memset(&channel, 0, sizeof channel);
    channel.label = (char *)"second";
    channel.ordered = true;
    CHECK(esp_peer_create_data_channel(peer, &channel) == ESP_PEER_ERR_NONE);
    AWAIT(&a.monitor, a.channels == 2);
    AWAIT(&b.monitor, b.channels == 2);
    CHECK(esp_peer_close_data_channel(peer, "second") == ESP_PEER_ERR_NONE);
    AWAIT(&a.monitor, a.channels == 1);
    AWAIT(&b.monitor, b.channels == 1);
    CHECK(esp_webrtc_query(station->rtc) == ESP_PEER_ERR_NONE);
}

static void first_call(void) {
    CHECK(esp_webrtc_query(a.rtc) == ESP_PEER_ERR_WRONG_STATE);
    CHECK(esp_webrtc_set_video_bitrate(a.rtc, 300000) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_start(b.rtc) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_start(b.rtc) == ESP_PEER_ERR_WRONG_STATE);
    CHECK(esp_webrtc_start(a.rtc) == ESP_PEER_ERR_NONE);
    station_wait(&a, ESP_WEBRTC_EVENT_CONNECTED, 1);
    station_wait(&b, ESP_WEBRTC_EVENT_CONNECTED, 1);
    station_send_frames(&a, &b, FRAMES);
    station_send_frames(&b, &a, FRAMES);
    monitor_lock(&b.monitor);
    CHECK(b.audio_infos > 0 && b.video_infos > 0 && b.wanted == 1);
    monitor_unlock(&b.monitor);
    AWAIT(&a.monitor, a.hooked >= FRAMES);
    CHECK(esp_webrtc_set_video_bitrate(a.rtc, 200000) == ESP_PEER_ERR_NONE);
    AWAIT(&a.monitor, a.video_bitrate == 200000);

    station_say(&a, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, "by signaling");
    station_wait_custom(&b, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, "by signaling");
    station_wait(&a, ESP_WEBRTC_EVENT_DATA_CHANNEL_OPENED, 1);
    station_wait(&b, ESP_WEBRTC_EVENT_DATA_CHANNEL_OPENED, 1);
    AWAIT(&b.monitor, b.channels == 1);
    station_say(&b, ESP_WEBRTC_CUSTOM_DATA_VIA_DATA_CHANNEL, "by channel");
    station_wait_custom(&a, ESP_WEBRTC_CUSTOM_DATA_VIA_DATA_CHANNEL, "by channel");
    AWAIT(&a.monitor, a.data_messages == 1);
    uint8_t bytes[2] = {0xff, 0x01}; /* No text: it goes as bytes. */
    CHECK(esp_webrtc_send_custom_data(b.rtc, ESP_WEBRTC_CUSTOM_DATA_VIA_DATA_CHANNEL, bytes, 2) == 0);
    station_wait_custom(&a, ESP_WEBRTC_CUSTOM_DATA_VIA_DATA_CHANNEL, "\xff\x01");
    CHECK(esp_webrtc_send_custom_data(b.rtc, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, bytes, 2) ==
          ESP_PEER_ERR_INVALID_ARG);
    check_order(&a);
    check_order(&b);
    check_peer(&a);
}

static void restart(void) {
    CHECK(esp_webrtc_restart(a.rtc) == ESP_PEER_ERR_NONE);
    station_wait(&a, ESP_WEBRTC_EVENT_CONNECTED, 2);
    station_wait(&b, ESP_WEBRTC_EVENT_CONNECTED, 2);
    /* The first one, the second one of the test, and that of the new connection. */
    AWAIT(&a.monitor, a.channels_opened == 3 && a.channels == 1);
    AWAIT(&b.monitor, b.channels_opened == 3 && b.channels == 1);
    station_send_frames(&a, &b, FRAMES);
}

static void stop_and_start(void) {
    monitor_lock(&b.monitor);
    int ended = station_told(&b, ESP_WEBRTC_EVENT_DISCONNECTED);
    monitor_unlock(&b.monitor);
    esp_peer_handle_t peer = NULL, none = &peer;
    CHECK(esp_webrtc_get_peer_connection(b.rtc, &peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_stop(b.rtc) == ESP_PEER_ERR_NONE);
    /* All has ended, and was told. */
    monitor_lock(&b.monitor);
    CHECK(station_told(&b, ESP_WEBRTC_EVENT_DISCONNECTED) == ended + 1);
    CHECK(b.unwanted == b.wanted && b.channels == 0);
    monitor_unlock(&b.monitor);
    CHECK(wire_ends[1].stops == 1);
    CHECK(esp_peer_query(peer) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_get_peer_connection(b.rtc, &none) == ESP_PEER_ERR_WRONG_STATE && none == NULL);
    CHECK(esp_webrtc_restart(b.rtc) == ESP_PEER_ERR_WRONG_STATE);
    CHECK(esp_webrtc_stop(b.rtc) == ESP_PEER_ERR_NONE);

    /* The other side hears of it, and calls again. */
    station_wait(&a, ESP_WEBRTC_EVENT_DISCONNECTED, 1);
    CHECK(esp_webrtc_start(b.rtc) == ESP_PEER_ERR_NONE);
    station_wait(&b, ESP_WEBRTC_EVENT_CONNECTED, 3);
    AWAIT(&b.monitor, b.channels == 1);
    station_send_frames(&b, &a, FRAMES);
}

int main(void) {
    CHECK(esp_peer_set_loopback(true) == ESP_PEER_ERR_NONE);
    open_station(&a, "a", 0);
    open_station(&b, "b", 1);
    first_call();
    restart();
    stop_and_start();

    /* One side closes itself from within a callback; its signaling is stopped behind that. */
    station_say(&b, ESP_WEBRTC_CUSTOM_DATA_VIA_DATA_CHANNEL, "close");
    AWAIT(&a.monitor, a.closed_within);
    AWAIT(&wire, wire_ends[0].stops == wire_ends[0].starts);
    CHECK(esp_webrtc_stop(a.rtc) == ESP_PEER_ERR_INVALID_ARG);
    /* The media of the other go first. */
    station_free(&a);
    station_free_media(&b);
    CHECK(esp_webrtc_close(b.rtc) == ESP_PEER_ERR_NONE);
    CHECK(wire_ends[1].stops == wire_ends[1].starts && wire_ends[1].starts == 2);
    monitor_free(&b.monitor);
    wire_free();
    printf("passed\n");
    return 0;
}
