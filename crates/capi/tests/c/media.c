/* The captures and players that come with the library, in a call; the argument is a folder for recordings. */
#include <sys/stat.h>

#include "station.h"
#include "wire.h"

static station_t a, b;

static void open_station(station_t *station, const char *name, int index, const char *folder) {
    esp_webrtc_cfg_t cfg = station_config(station, &wire_impl);
    cfg.signaling_cfg.signal_url = (char *)"wire:test";
    cfg.signaling_cfg.extra_cfg = &index;
    cfg.signaling_cfg.extra_size = sizeof index;
    station_open(station, name, &cfg);
    station_free_media(station);
    esp_webrtc_test_capture_cfg_t test = {320, 240, 10, false, false};
    CHECK(esp_webrtc_capture_open_test(&test, &station->capture) == ESP_PEER_ERR_NONE);
    if (folder) {
        CHECK(esp_webrtc_player_open_file(folder, name, &station->player) == ESP_PEER_ERR_NONE);
    } else {
        CHECK(esp_webrtc_player_open_null(&station->player) == ESP_PEER_ERR_NONE);
    }
    esp_webrtc_media_provider_t provider = {station->capture, station->player};
    CHECK(esp_webrtc_set_media_provider(station->rtc, &provider) == ESP_PEER_ERR_NONE);
}

/* Waits until a recording has some bytes. */
static void wait_for(const char *path) {
    struct stat found;
    time_t began = time(NULL);
    monitor_lock(&wire);
    while (stat(path, &found) != 0 || found.st_size < 5000) {
        CHECK(time(NULL) - began < PATIENCE);
        monitor_wait(&wire, 50);
    }
    monitor_unlock(&wire);
}

int main(int count, char **arguments) {
    char sound[512], pictures[512];
    CHECK(count == 2);
    CHECK(snprintf(sound, sizeof sound, "%s/b.wav", arguments[1]) < (int)sizeof sound);
    CHECK(snprintf(pictures, sizeof pictures, "%s/b.mp4", arguments[1]) < (int)sizeof pictures);
    CHECK(esp_peer_set_loopback(true) == ESP_PEER_ERR_NONE);
    open_station(&a, "a", 0, NULL);
    open_station(&b, "b", 1, arguments[1]);
    CHECK(esp_webrtc_start(a.rtc) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_start(b.rtc) == ESP_PEER_ERR_NONE);
    wait_for(sound);
    wait_for(pictures);
    CHECK(esp_webrtc_query(a.rtc) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_close(a.rtc) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_close(b.rtc) == ESP_PEER_ERR_NONE);
    station_free(&a);
    station_free(&b);
    wire_free();

    /* What was recorded can be sent. */
    esp_capture_handle_t capture = NULL;
    esp_webrtc_file_capture_cfg_t files = {pictures, 0, sound};
    CHECK(esp_webrtc_capture_open_file(&files, &capture) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_capture_close(capture) == ESP_PEER_ERR_NONE);
    printf("passed\n");
    return 0;
}
