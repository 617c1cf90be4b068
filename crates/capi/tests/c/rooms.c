/* Two devices of one program meet in a room of an AppRTC server, whose URL is the argument. */
#include "station.h"

static station_t a, b;

/* Who uses the signaling alone, by its own functions. */
static monitor_t third = {"third", PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
static int infos, connects, messages, closes;

static int third_ice_info(esp_peer_signaling_ice_info_t *info, void *ctx) {
    CHECK(ctx == &third && (info->is_initiator == true || info->is_initiator == false));
    monitor_lock(&third);
    infos += 1;
    monitor_unlock(&third);
    return 0;
}

static int third_connected(void *ctx) {
    CHECK(ctx == &third);
    monitor_lock(&third);
    CHECK(infos > 0);
    connects += 1;
    monitor_changed(&third);
    monitor_unlock(&third);
    return 0;
}

static int third_msg(esp_peer_signaling_msg_t *msg, void *ctx) {
    CHECK(ctx == &third && msg->data[msg->size] == 0);
    monitor_lock(&third);
    if (msg->type == ESP_PEER_SIGNALING_MSG_CUSTOMIZED) {
        CHECK(strcmp((char *)msg->data, "to the third") == 0);
        messages += 1;
    }
    monitor_changed(&third);
    monitor_unlock(&third);
    return 0;
}

static int third_close(void *ctx) {
    CHECK(ctx == &third);
    monitor_lock(&third);
    closes += 1;
    monitor_unlock(&third);
    return 0;
}

static void open_station(station_t *station, const char *name, char *url) {
    esp_webrtc_cfg_t cfg = station_config(station, esp_signaling_get_apprtc_impl());
    cfg.signaling_cfg.signal_url = url;
    cfg.peer_impl = NULL; /* The one that comes with the library. */
    cfg.peer_cfg.no_auto_reconnect = true;
    station_open(station, name, &cfg);
}

/* A signaling alone, in a room of its own with one of the devices. */
static void signaling_alone(char *url) {
    esp_peer_signaling_cfg_t cfg = {third_ice_info, third_connected, third_msg, third_close, url, NULL, 0, &third};
    esp_peer_signaling_handle_t sig = NULL;
    CHECK(esp_peer_signaling_start(&cfg, esp_signaling_get_apprtc_impl(), &sig) == ESP_PEER_ERR_NONE);
    AWAIT(&third, connects > 0);
    station_say(&b, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, "to the third");
    AWAIT(&third, messages == 1);
    esp_peer_signaling_msg_t msg = {ESP_PEER_SIGNALING_MSG_CUSTOMIZED, (uint8_t *)"by hand", 8};
    CHECK(esp_peer_signaling_send_msg(sig, &msg) == ESP_PEER_ERR_NONE);
    station_wait_custom(&b, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, "by hand");
    msg.type = ESP_PEER_SIGNALING_MSG_NONE;
    CHECK(esp_peer_signaling_send_msg(sig, &msg) == ESP_PEER_ERR_INVALID_ARG);
    /* A machine that is busy enough may not let it say goodbye in time. */
    int code = esp_peer_signaling_stop(sig);
    monitor_lock(&third);
    CHECK((code == ESP_PEER_ERR_NONE && closes == 1) || (code == ESP_PEER_ERR_FAIL && closes <= 1));
    monitor_unlock(&third);
    CHECK(esp_peer_signaling_stop(sig) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_signaling_send_msg(sig, &msg) == ESP_PEER_ERR_INVALID_ARG);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    CHECK(esp_peer_set_loopback(true) == ESP_PEER_ERR_NONE);
    open_station(&a, "a", arguments[1]);
    open_station(&b, "b", arguments[1]);
    /* One of them rings, and the other accepts before it connects. */
    CHECK(esp_webrtc_enable_peer_connection(a.rtc, true) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_start(a.rtc) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_start(b.rtc) == ESP_PEER_ERR_NONE);
    station_say(&a, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, "RING");
    station_wait_custom(&b, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, "RING");
    monitor_lock(&b.monitor);
    CHECK(station_told(&b, ESP_WEBRTC_EVENT_CONNECTING) == 0);
    monitor_unlock(&b.monitor);
    CHECK(esp_webrtc_enable_peer_connection(b.rtc, true) == ESP_PEER_ERR_NONE);
    station_wait(&a, ESP_WEBRTC_EVENT_CONNECTED, 1);
    station_wait(&b, ESP_WEBRTC_EVENT_CONNECTED, 1);
    station_send_frames(&a, &b, 3);
    CHECK(esp_webrtc_close(a.rtc) == ESP_PEER_ERR_NONE);
    station_wait(&b, ESP_WEBRTC_EVENT_DISCONNECTED, 1);
    signaling_alone(arguments[1]);
    CHECK(esp_webrtc_close(b.rtc) == ESP_PEER_ERR_NONE);
    station_free(&a);
    station_free(&b);
    printf("passed\n");
    return 0;
}
