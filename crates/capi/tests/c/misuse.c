/* What makes no sense is refused, and nothing worse happens. */
#include "side.h"

static esp_peer_handle_t current;
static int reentered, closed_within;

static esp_peer_cfg_t plain(void) {
    esp_peer_cfg_t cfg;
    memset(&cfg, 0, sizeof cfg);
    cfg.enable_data_channel = true;
    return cfg;
}

static int code_of(esp_peer_cfg_t cfg) {
    esp_peer_handle_t peer = &cfg;
    int code = esp_peer_open(&cfg, esp_peer_get_default_impl(), &peer);
    CHECK((code == ESP_PEER_ERR_NONE) == (peer != NULL));
    if (peer) {
        CHECK(esp_peer_close(peer) == ESP_PEER_ERR_NONE);
    }
    return code;
}

static void all_refuse(esp_peer_handle_t peer) {
    uint8_t byte = 1;
    esp_peer_msg_t msg = {ESP_PEER_MSG_TYPE_SDP, &byte, 1};
    esp_peer_video_frame_t video = {0, &byte, 1};
    esp_peer_audio_frame_t audio = {0, &byte, 1};
    esp_peer_data_frame_t data = {ESP_PEER_DATA_CHANNEL_DATA, 0, &byte, 1};
    esp_peer_data_channel_cfg_t channel;
    esp_peer_addr_t addr;
    memset(&channel, 0, sizeof channel);
    CHECK(esp_peer_new_connection(peer) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_update_ice_info(peer, ESP_PEER_ROLE_CONTROLLING, NULL, 0) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_send_msg(peer, &msg) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_send_video(peer, &video) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_send_audio(peer, &audio) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_send_data(peer, &data) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_create_data_channel(peer, &channel) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_close_data_channel(peer, "label") == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_main_loop(peer) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_disconnect(peer) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_query(peer) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_get_paired_addr(peer, &addr) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_set_rtp_transformer(peer, ESP_PEER_RTP_TRANSFORM_ROLE_SENDER, NULL, NULL) ==
          ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_close(peer) == ESP_PEER_ERR_INVALID_ARG);
}

static void configurations(void) {
    esp_peer_cfg_t cfg = plain();
    CHECK(code_of(cfg) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_open(&cfg, esp_peer_get_default_impl(), NULL) == ESP_PEER_ERR_INVALID_ARG);
    esp_peer_handle_t peer = &cfg;
    CHECK(esp_peer_open(NULL, esp_peer_get_default_impl(), &peer) == ESP_PEER_ERR_INVALID_ARG && peer == NULL);
    CHECK(esp_peer_open(&cfg, NULL, &peer) == ESP_PEER_ERR_INVALID_ARG);
    cfg.enable_data_channel = false; /* It would carry nothing. */
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg = plain();
    cfg.server_num = 3;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    esp_peer_ice_server_cfg_t server = {NULL, NULL, NULL};
    cfg.server_lists = &server;
    cfg.server_num = 1;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    server.stun_url = (char *)"stun:\xff";
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg = plain();
    memset(&cfg.role, 0x7f, sizeof cfg.role);
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg = plain();
    memset(&cfg.audio_info.codec, 0xff, sizeof cfg.audio_info.codec);
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg = plain();
    cfg.video_info.codec = ESP_PEER_VIDEO_CODEC_MJPEG;
    CHECK(code_of(cfg) == ESP_PEER_ERR_NONE);
    cfg.video_dir = ESP_PEER_MEDIA_DIR_SEND_ONLY;
    CHECK(code_of(cfg) == ESP_PEER_ERR_NOT_SUPPORT);
    esp_peer_default_cfg_t extra;
    memset(&extra, 0xff, sizeof extra); /* Every figure as large as can be, and `bool`s that are none. */
    cfg = plain();
    cfg.extra_cfg = &extra;
    cfg.extra_size = sizeof extra;
    CHECK(code_of(cfg) == ESP_PEER_ERR_NONE);
    cfg.extra_size = sizeof extra - 1;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg.extra_size = -1;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg.extra_cfg = NULL;
    cfg.extra_size = sizeof extra;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
}

static void arguments(esp_peer_handle_t peer) {
    uint8_t byte = 1;
    esp_peer_msg_t msg = {ESP_PEER_MSG_TYPE_SDP, NULL, 1};
    CHECK(esp_peer_send_msg(peer, NULL) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_send_msg(peer, &msg) == ESP_PEER_ERR_INVALID_ARG);
    msg.data = &byte;
    msg.size = -1;
    CHECK(esp_peer_send_msg(peer, &msg) == ESP_PEER_ERR_INVALID_ARG);
    msg.size = 1;
    CHECK(esp_peer_send_msg(peer, &msg) == ESP_PEER_ERR_WRONG_STATE);
    msg.type = ESP_PEER_MSG_TYPE_NONE;
    CHECK(esp_peer_send_msg(peer, &msg) == ESP_PEER_ERR_INVALID_ARG);
    esp_peer_video_frame_t video = {0, NULL, 1};
    esp_peer_audio_frame_t audio = {0, NULL, 1};
    CHECK(esp_peer_send_video(peer, NULL) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_send_video(peer, &video) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_send_audio(peer, NULL) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_send_audio(peer, &audio) == ESP_PEER_ERR_INVALID_ARG);
    audio.data = &byte;
    CHECK(esp_peer_send_audio(peer, &audio) == ESP_PEER_ERR_WRONG_STATE);
    audio.size = -5;
    CHECK(esp_peer_send_audio(peer, &audio) == ESP_PEER_ERR_INVALID_ARG);
    esp_peer_data_frame_t data = {ESP_PEER_DATA_CHANNEL_DATA, 0, NULL, 1};
    CHECK(esp_peer_send_data(peer, NULL) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_send_data(peer, &data) == ESP_PEER_ERR_INVALID_ARG);
    data.data = &byte;
    CHECK(esp_peer_send_data(peer, &data) == ESP_PEER_ERR_WRONG_STATE);
    memset(&data.type, 0x7e, sizeof data.type);
    CHECK(esp_peer_send_data(peer, &data) == ESP_PEER_ERR_INVALID_ARG);
    esp_peer_data_channel_cfg_t channel;
    memset(&channel, 0, sizeof channel);
    CHECK(esp_peer_create_data_channel(peer, NULL) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_create_data_channel(peer, &channel) == ESP_PEER_ERR_WRONG_STATE);
    channel.label = (char *)"\xc3";
    CHECK(esp_peer_create_data_channel(peer, &channel) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_close_data_channel(peer, NULL) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_close_data_channel(peer, "none") == ESP_PEER_ERR_NOT_EXISTS);
    CHECK(esp_peer_update_ice_info(peer, ESP_PEER_ROLE_CONTROLLING, NULL, 1) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_update_ice_info(peer, ESP_PEER_ROLE_CONTROLLING, NULL, -1) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_update_ice_info(peer, ESP_PEER_ROLE_CONTROLLING, NULL, 0) == ESP_PEER_ERR_NONE);
    esp_peer_rtp_transform_cb_t half = {NULL, NULL};
    CHECK(esp_peer_set_rtp_transformer(peer, ESP_PEER_RTP_TRANSFORM_ROLE_SENDER, &half, NULL) ==
          ESP_PEER_ERR_INVALID_ARG);
    esp_peer_addr_t addr;
    CHECK(esp_peer_get_paired_addr(peer, NULL) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_get_paired_addr(peer, &addr) == ESP_PEER_ERR_WRONG_STATE);
    CHECK(esp_peer_disconnect(peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_set_dtls_cipher_pref(ESP_PEER_DTLS_CIPHER_AUTO) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_set_dtls_cipher_pref(ESP_PEER_DTLS_CIPHER_CHACHA) == ESP_PEER_ERR_NOT_SUPPORT);
}

/* In the first callback: into the main loop again, and then the end. */
static int end_within(esp_peer_state_t state, void *ctx) {
    CHECK(ctx == &current);
    if (state == ESP_PEER_STATE_CLOSED) {
        closed_within += 1;
        return 0;
    }
    CHECK(closed_within == 0);
    if (!reentered) {
        reentered = 1;
        CHECK(esp_peer_main_loop(current) == ESP_PEER_ERR_WRONG_STATE);
        CHECK(esp_peer_disconnect(current) == ESP_PEER_ERR_NONE);
        CHECK(esp_peer_new_connection(current) == ESP_PEER_ERR_NONE);
        CHECK(esp_peer_close(current) == ESP_PEER_ERR_NONE);
    }
    return 0;
}

int main(void) {
    all_refuse(NULL);
    all_refuse(&current);
    all_refuse((esp_peer_handle_t)(uintptr_t)0x11);
    configurations();
    esp_peer_cfg_t cfg = plain();
    esp_peer_handle_t peer;
    CHECK(esp_peer_open(&cfg, esp_peer_get_default_impl(), &peer) == ESP_PEER_ERR_NONE);
    arguments(peer);
    CHECK(esp_peer_main_loop(peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_close(peer) == ESP_PEER_ERR_NONE);
    all_refuse(peer);

    cfg.on_state = end_within;
    cfg.ctx = &current;
    CHECK(esp_peer_open(&cfg, esp_peer_get_default_impl(), &current) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_new_connection(current) == ESP_PEER_ERR_NONE);
    int code;
    while ((code = esp_peer_main_loop(current)) == ESP_PEER_ERR_NONE && !reentered) {
    }
    CHECK(reentered == 1 && closed_within == 1);
    all_refuse(current);
    printf("passed\n");
    return 0;
}
