/* What makes no sense to a solution, a signaling, a capture or a player is refused, and nothing worse happens. */
#include "station.h"

static int start_code;

static int failing_start(esp_peer_signaling_cfg_t *cfg, esp_peer_signaling_handle_t *sig) {
    (void)cfg;
    (void)sig;
    return start_code;
}

static int never_send(esp_peer_signaling_handle_t sig, esp_peer_signaling_msg_t *msg) {
    (void)sig;
    (void)msg;
    return ESP_PEER_ERR_NONE;
}

static int never_stop(esp_peer_signaling_handle_t sig) {
    (void)sig;
    return ESP_PEER_ERR_NONE;
}

static const esp_peer_signaling_impl_t failing = {failing_start, never_send, never_stop};

/* Handles of each kind, none of which is one of another kind. */
static void all_refuse(void *handle) {
    esp_peer_handle_t peer = NULL;
    esp_webrtc_media_provider_t provider = {NULL, NULL};
    esp_peer_video_frame_t frame = {0, (uint8_t *)"a", 1};
    esp_peer_audio_frame_t packet = {0, (uint8_t *)"a", 1};
    esp_peer_signaling_msg_t msg = {ESP_PEER_SIGNALING_MSG_BYE, NULL, 0};
    int codes[] = {
        esp_webrtc_set_media_provider(handle, &provider),
        esp_webrtc_set_no_auto_capture(handle, true),
        esp_webrtc_set_event_handler(handle, NULL, NULL),
        esp_webrtc_enable_peer_connection(handle, true),
        esp_webrtc_set_video_bitrate(handle, 1),
        esp_webrtc_set_audio_bitrate(handle, 1),
        esp_webrtc_start(handle),
        esp_webrtc_send_custom_data(handle, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, (uint8_t *)"a", 1),
        esp_webrtc_get_peer_connection(handle, &peer),
        esp_webrtc_restart(handle),
        esp_webrtc_query(handle),
        esp_webrtc_stop(handle),
        esp_webrtc_close(handle),
        esp_webrtc_capture_send_video(handle, &frame),
        esp_webrtc_capture_send_audio(handle, &packet),
        esp_webrtc_capture_close(handle),
        esp_webrtc_player_close(handle),
        esp_peer_signaling_send_msg(handle, &msg),
        esp_peer_signaling_stop(handle),
    };
    for (size_t at = 0; at < sizeof codes / sizeof codes[0]; at++) {
        CHECK(codes[at] == ESP_PEER_ERR_INVALID_ARG);
    }
}

static int code_of(esp_webrtc_cfg_t cfg) {
    esp_webrtc_handle_t rtc = &cfg;
    int code = esp_webrtc_open(&cfg, &rtc);
    CHECK((code == ESP_PEER_ERR_NONE) == (rtc != NULL));
    if (rtc) {
        CHECK(esp_webrtc_close(rtc) == ESP_PEER_ERR_NONE);
    }
    return code;
}

static void configurations(void) {
    station_t nobody;
    esp_webrtc_cfg_t plain = station_config(&nobody, &failing), cfg = plain;
    esp_webrtc_handle_t rtc = &cfg;
    CHECK(code_of(cfg) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_open(NULL, &rtc) == ESP_PEER_ERR_INVALID_ARG && rtc == NULL);
    CHECK(esp_webrtc_open(&cfg, NULL) == ESP_PEER_ERR_INVALID_ARG);
    cfg.signaling_impl = NULL;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    esp_peer_signaling_impl_t empty = {NULL, NULL, NULL};
    cfg.signaling_impl = &empty;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg = plain;
    esp_peer_ops_t no_ops;
    memset(&no_ops, 0, sizeof no_ops);
    cfg.peer_impl = &no_ops;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg = plain;
    cfg.peer_cfg.extra_size = 7;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg = plain;
    cfg.peer_cfg.server_num = 1;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg = plain;
    memset(&cfg.peer_cfg.video_dir, 0xff, sizeof cfg.peer_cfg.video_dir);
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg = plain;
    cfg.peer_cfg.video_info.codec = ESP_PEER_VIDEO_CODEC_MJPEG;
    CHECK(code_of(cfg) == ESP_PEER_ERR_NOT_SUPPORT);
    cfg.peer_cfg.video_over_data_channel = true;
    CHECK(code_of(cfg) == ESP_PEER_ERR_NONE);
    cfg = plain;
    cfg.peer_cfg.enable_data_channel = false;
    cfg.peer_cfg.audio_dir = cfg.peer_cfg.video_dir = ESP_PEER_MEDIA_DIR_NONE; /* It would carry nothing. */
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
}

static void signalings(void) {
    station_t nobody;
    esp_webrtc_cfg_t cfg = station_config(&nobody, esp_signaling_get_apprtc_impl());
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg.signaling_cfg.signal_url = (char *)"no URL";
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg.signaling_cfg.signal_url = (char *)"https://example.org/r/room";
    CHECK(code_of(cfg) == ESP_PEER_ERR_NONE);
    cfg.signaling_impl = esp_signaling_get_whip_impl();
    CHECK(code_of(cfg) == ESP_PEER_ERR_NONE);
    esp_peer_signaling_whip_cfg_t whip = {ESP_PEER_SIGNALING_WHIP_AUTH_TYPE_BASIC, (char *)"no colon"};
    cfg.signaling_cfg.extra_cfg = &whip;
    cfg.signaling_cfg.extra_size = sizeof whip;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    whip.token = (char *)"user:word";
    CHECK(code_of(cfg) == ESP_PEER_ERR_NONE);
    cfg.signaling_cfg.extra_size = 1;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    cfg.signaling_impl = esp_signaling_get_janus_impl();
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG);
    esp_peer_signaling_janus_cfg_t janus = {0, NULL, "1234", "garden", ""};
    cfg.signaling_cfg.extra_cfg = &janus;
    cfg.signaling_cfg.extra_size = sizeof janus;
    CHECK(code_of(cfg) == ESP_PEER_ERR_INVALID_ARG); /* No room. */
    janus.room_id = 1234;
    CHECK(code_of(cfg) == ESP_PEER_ERR_NONE);

    esp_peer_signaling_cfg_t alone;
    memset(&alone, 0, sizeof alone);
    esp_peer_signaling_handle_t sig = &alone;
    const esp_peer_signaling_impl_t *apprtc = esp_signaling_get_apprtc_impl();
    CHECK(esp_peer_signaling_start(&alone, apprtc, &sig) == ESP_PEER_ERR_INVALID_ARG && sig == NULL);
    CHECK(esp_peer_signaling_start(NULL, apprtc, &sig) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_signaling_start(&alone, NULL, &sig) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_signaling_start(&alone, apprtc, NULL) == ESP_PEER_ERR_INVALID_ARG);
    start_code = 0;
    CHECK(esp_peer_signaling_start(&alone, &failing, &sig) == ESP_PEER_ERR_NONE && sig != NULL);
    CHECK(esp_peer_signaling_stop(sig) == ESP_PEER_ERR_NONE);
}

static void media(void) {
    esp_capture_handle_t capture = &capture;
    av_render_handle_t player = &player;
    esp_webrtc_test_capture_cfg_t test = {-1, 0, 0, false, false};
    CHECK(esp_webrtc_capture_open_test(&test, &capture) == ESP_PEER_ERR_INVALID_ARG && capture == NULL);
    test.width = 10000;
    CHECK(esp_webrtc_capture_open_test(&test, &capture) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_capture_open_test(NULL, NULL) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_capture_open_file(NULL, &capture) == ESP_PEER_ERR_INVALID_ARG);
    esp_webrtc_file_capture_cfg_t file = {"/nowhere.mp4", 0, NULL};
    CHECK(esp_webrtc_capture_open_file(&file, &capture) == ESP_PEER_ERR_INVALID_ARG && capture == NULL);
    CHECK(esp_webrtc_capture_open_frames(NULL, &capture) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_player_open_frames(NULL, &player) == ESP_PEER_ERR_INVALID_ARG && player == NULL);
    CHECK(esp_webrtc_player_open_file(NULL, "a", &player) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_player_open_file("/dev/null/nowhere", "a", &player) == ESP_PEER_ERR_INVALID_ARG);

    esp_peer_video_frame_t frame = {0, (uint8_t *)"a", 1};
    CHECK(esp_webrtc_capture_open_test(NULL, &capture) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_capture_send_video(capture, &frame) == ESP_PEER_ERR_NOT_SUPPORT);
    CHECK(esp_webrtc_capture_close(capture) == ESP_PEER_ERR_NONE);
    all_refuse(capture);
    esp_webrtc_frame_capture_cfg_t frames;
    memset(&frames, 0, sizeof frames);
    CHECK(esp_webrtc_capture_open_frames(&frames, &capture) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_capture_send_video(capture, NULL) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_capture_send_video(capture, &frame) == ESP_PEER_ERR_WRONG_STATE);
    frame.size = 0;
    CHECK(esp_webrtc_capture_send_video(capture, &frame) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_player_open_null(&player) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_player_close(capture) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_capture_close(player) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_capture_close(capture) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_player_close(player) == ESP_PEER_ERR_NONE);
}

static void calls(void) {
    station_t nobody;
    esp_webrtc_cfg_t cfg = station_config(&nobody, &failing);
    esp_webrtc_handle_t rtc = NULL;
    esp_peer_handle_t peer = &cfg;
    uint8_t byte = 'a';
    CHECK(esp_webrtc_open(&cfg, &rtc) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_set_media_provider(rtc, NULL) == ESP_PEER_ERR_INVALID_ARG);
    esp_webrtc_media_provider_t provider = {rtc, NULL};
    CHECK(esp_webrtc_set_media_provider(rtc, &provider) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_get_peer_connection(rtc, NULL) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_get_peer_connection(rtc, &peer) == ESP_PEER_ERR_WRONG_STATE && peer == NULL);
    CHECK(esp_webrtc_send_custom_data(rtc, ESP_WEBRTC_CUSTOM_DATA_VIA_NONE, &byte, 1) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_send_custom_data(rtc, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, NULL, 1) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_send_custom_data(rtc, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, &byte, -1) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_send_custom_data(rtc, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, &byte, 1) == ESP_PEER_ERR_WRONG_STATE);
    CHECK(esp_webrtc_enable_peer_connection(rtc, true) == ESP_PEER_ERR_NONE);
    /* The signaling's own code comes through, and it may be tried again. */
    for (start_code = 1234; start_code > 1231; start_code--) {
        CHECK(esp_webrtc_start(rtc) == start_code);
    }
    start_code = 0;
    CHECK(esp_webrtc_start(rtc) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_start(rtc) == ESP_PEER_ERR_WRONG_STATE);
    CHECK(esp_webrtc_get_peer_connection(rtc, &peer) == ESP_PEER_ERR_WRONG_STATE);
    CHECK(esp_webrtc_send_custom_data(rtc, ESP_WEBRTC_CUSTOM_DATA_VIA_DATA_CHANNEL, &byte, 1) ==
          ESP_PEER_ERR_WRONG_STATE);
    /* It is closed while it runs. */
    CHECK(esp_webrtc_close(rtc) == ESP_PEER_ERR_NONE);
    all_refuse(rtc);
}

static esp_webrtc_handle_t shared;

/* Does what it likes with a handle that others use, too, until that is closed. */
static void *meddle(void *ctx) {
    unsigned turn = (unsigned)(uintptr_t)ctx;
    int code = ESP_PEER_ERR_NONE;
    while (code != ESP_PEER_ERR_INVALID_ARG) {
        esp_peer_handle_t peer = NULL;
        switch (turn++ % 7) {
            case 0:
            case 3:
                code = esp_webrtc_start(shared);
                break;
            case 1:
                code = esp_webrtc_get_peer_connection(shared, &peer);
                break;
            case 2:
                code = esp_webrtc_send_custom_data(shared, ESP_WEBRTC_CUSTOM_DATA_VIA_SIGNALING, (uint8_t *)"a", 1);
                break;
            case 4:
                code = esp_webrtc_restart(shared);
                break;
            case 5:
                code = esp_webrtc_enable_peer_connection(shared, turn % 2 == 0);
                break;
            default:
                code = esp_webrtc_stop(shared);
                break;
        }
        CHECK(code == ESP_PEER_ERR_NONE || code == ESP_PEER_ERR_WRONG_STATE || code == ESP_PEER_ERR_INVALID_ARG ||
              code == ESP_PEER_ERR_FAIL);
    }
    return NULL;
}

static void many_tasks(void) {
    station_t nobody;
    esp_webrtc_cfg_t cfg = station_config(&nobody, &failing);
    pthread_t tasks[4];
    for (int round = 0; round < 5; round++) {
        CHECK(esp_webrtc_open(&cfg, &shared) == ESP_PEER_ERR_NONE);
        for (uintptr_t at = 0; at < 4; at++) {
            CHECK(pthread_create(&tasks[at], NULL, meddle, (void *)(at * 2)) == 0);
        }
        for (int turn = 0; turn < 20; turn++) {
            int code = esp_webrtc_start(shared);
            CHECK(code == ESP_PEER_ERR_NONE || code == ESP_PEER_ERR_WRONG_STATE);
        }
        CHECK(esp_webrtc_close(shared) == ESP_PEER_ERR_NONE);
        for (int at = 0; at < 4; at++) {
            CHECK(pthread_join(tasks[at], NULL) == 0);
        }
    }
}

int main(void) {
    int nothing = 0;
    all_refuse(NULL);
    all_refuse(&nothing);
    all_refuse((void *)(intptr_t)-1);
    configurations();
    signalings();
    media();
    calls();
    many_tasks();
    printf("passed\n");
    return 0;
}
