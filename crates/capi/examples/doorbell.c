/*
 * A doorbell: joins the room of a URL, rings, and sends sound and pictures to who accepts.
 *
 *   cargo run --release -- serve           # a room server, which prints the URL of a room
 *   cargo build --release -p esp-capi
 *   cc -Icrates/capi/include crates/capi/examples/doorbell.c -o doorbell \
 *      -Ltarget/release -lesp_webrtc -Wl,-rpath,$PWD/target/release
 *   ./doorbell URL
 *
 * It shows the test picture; a device opens a capture and a player of frames, and gives and takes its own.
 */
#include <stdio.h>
#include <string.h>

#include "esp_webrtc.h"
#include "esp_webrtc_defaults.h"

static esp_webrtc_handle_t doorbell;

static int on_event(esp_webrtc_event_t *event, void *ctx) {
    (void)ctx;
    if (event->type == ESP_WEBRTC_EVENT_CONNECTED) {
        printf("somebody is at the screen\n");
    } else if (event->type == ESP_WEBRTC_EVENT_DISCONNECTED) {
        printf("the door is quiet again\n");
    }
    return 0;
}

static void say(const char *text) {
    esp_webrtc_send_custom_data(doorbell, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, (uint8_t *)text, (int)strlen(text));
}

static int on_command(esp_webrtc_custom_data_via_t via, uint8_t *data, int size, void *ctx) {
    (void)via, (void)size, (void)ctx;
    const char *command = (const char *)data;
    if (strcmp(command, "ACCEPT_CALL") == 0) {
        return esp_webrtc_enable_peer_connection(doorbell, true);
    }
    if (strcmp(command, "DENY_CALL") == 0) {
        return esp_webrtc_enable_peer_connection(doorbell, false);
    }
    if (strcmp(command, "OPEN_DOOR") == 0) {
        printf("the door opens\n");
        say("DOOR_OPENED");
    }
    return 0;
}

int main(int count, char **arguments) {
    if (count < 2) {
        fprintf(stderr, "usage: %s URL_OF_A_ROOM\n", arguments[0]);
        return 2;
    }
    esp_webrtc_cfg_t cfg;
    memset(&cfg, 0, sizeof cfg);
    cfg.signaling_impl = esp_signaling_get_apprtc_impl();
    cfg.signaling_cfg.signal_url = arguments[1];
    cfg.peer_impl = esp_peer_get_default_impl();
    cfg.peer_cfg.audio_info.codec = ESP_PEER_AUDIO_CODEC_OPUS;
    cfg.peer_cfg.audio_dir = ESP_PEER_MEDIA_DIR_SEND_RECV;
    cfg.peer_cfg.video_info.codec = ESP_PEER_VIDEO_CODEC_H264;
    cfg.peer_cfg.video_dir = ESP_PEER_MEDIA_DIR_SEND_ONLY;
    cfg.peer_cfg.enable_data_channel = true;
    cfg.peer_cfg.no_auto_reconnect = true; /* A connection waits until the call is accepted. */
    cfg.peer_cfg.on_custom_data = on_command;

    esp_webrtc_media_provider_t media;
    if (esp_webrtc_open(&cfg, &doorbell) != ESP_PEER_ERR_NONE ||
        esp_webrtc_capture_open_test(NULL, &media.capture) != ESP_PEER_ERR_NONE ||
        esp_webrtc_player_open_null(&media.player) != ESP_PEER_ERR_NONE) {
        return 1;
    }
    esp_webrtc_set_media_provider(doorbell, &media);
    esp_webrtc_set_event_handler(doorbell, on_event, NULL);
    if (esp_webrtc_start(doorbell) != ESP_PEER_ERR_NONE) {
        return 1;
    }
    printf("return: ring, q and return: leave\n");
    for (int key = getchar(); key != EOF && key != 'q'; key = getchar()) {
        say("RING");
    }
    esp_webrtc_close(doorbell);
    esp_webrtc_capture_close(media.capture);
    esp_webrtc_player_close(media.player);
    return 0;
}
