/* Two solutions whose pictures go by a data channel, in chunks and whole. */
#include "station.h"
#include "wire.h"

static void open_station(station_t *station, const char *name, int index, bool chunked) {
    esp_webrtc_cfg_t cfg = station_config(station, &wire_impl);
    cfg.signaling_cfg.signal_url = (char *)"wire:test";
    cfg.signaling_cfg.extra_cfg = &index;
    cfg.signaling_cfg.extra_size = sizeof index;
    cfg.peer_cfg.video_info.codec = ESP_PEER_VIDEO_CODEC_MJPEG;
    cfg.peer_cfg.video_over_data_channel = true;
    cfg.peer_cfg.video_dc_chunked = chunked;
    cfg.peer_cfg.video_dc_chunk_size = 1000;
    station_open(station, name, &cfg);
}

static void call(bool chunked) {
    static station_t stations[2];
    memset(stations, 0, sizeof stations);
    open_station(&stations[0], "a", 0, chunked);
    open_station(&stations[1], "b", 1, chunked);
    for (int at = 0; at < 2; at++) {
        CHECK(esp_webrtc_start(stations[at].rtc) == ESP_PEER_ERR_NONE);
    }
    station_send_frames(&stations[0], &stations[1], 5);
    station_send_frames(&stations[1], &stations[0], 5);
    for (int at = 0; at < 2; at++) {
        monitor_lock(&stations[at].monitor);
        CHECK(stations[at].video_infos == 1 && stations[at].data_messages == 0);
        monitor_unlock(&stations[at].monitor);
    }
    for (int at = 0; at < 2; at++) {
        CHECK(esp_webrtc_close(stations[at].rtc) == ESP_PEER_ERR_NONE);
        station_free(&stations[at]);
    }
}

int main(void) {
    CHECK(esp_peer_set_loopback(true) == ESP_PEER_ERR_NONE);
    call(true);
    wire_free();
    memset(wire_ends, 0, sizeof wire_ends);
    call(false);
    wire_free();
    printf("passed\n");
    return 0;
}
