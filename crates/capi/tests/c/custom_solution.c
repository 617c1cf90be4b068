/* A solution over a peer connection of the program's own, which only pretends. */
#include "station.h"
#include "wire.h"

typedef struct {
    esp_peer_cfg_t cfg;
    int connections, answers, pictures, sounds, loops, queries, closed;
    int answered; /* What `main_loop` has to tell. */
} own_t;

static station_t station_a;
static own_t *own;
static const int extra = 4711;

#define OWN_NOTE(what)                      \
    do {                                    \
        monitor_lock(&wire);                \
        CHECK(!own->closed);                \
        what;                               \
        monitor_changed(&wire);             \
        monitor_unlock(&wire);              \
    } while (0)

static int own_open(esp_peer_cfg_t *cfg, esp_peer_handle_t *peer) {
    CHECK(cfg->role == ESP_PEER_ROLE_CONTROLLING && cfg->server_num == 1 && cfg->enable_data_channel);
    CHECK(strcmp(cfg->server_lists[0].stun_url, "turn:example.org") == 0);
    CHECK(strcmp(cfg->server_lists[0].user, "user") == 0 && strcmp(cfg->server_lists[0].psw, "word") == 0);
    CHECK(cfg->extra_size == sizeof extra && *(int *)cfg->extra_cfg == extra && cfg->extra_cfg != &extra);
    CHECK(cfg->audio_info.codec == ESP_PEER_AUDIO_CODEC_OPUS && cfg->video_dir == ESP_PEER_MEDIA_DIR_SEND_RECV);
    own->cfg = *cfg;
    *peer = own;
    return ESP_PEER_ERR_NONE;
}

static int own_new_connection(esp_peer_handle_t peer) {
    CHECK(peer == own);
    OWN_NOTE(own->connections += 1);
    CHECK(own->cfg.on_state(ESP_PEER_STATE_NEW_CONNECTION, own->cfg.ctx) == ESP_PEER_ERR_NONE);
    esp_peer_msg_t msg = {ESP_PEER_MSG_TYPE_SDP, (uint8_t *)"offer", 5};
    return own->cfg.on_msg(&msg, own->cfg.ctx);
}

static int own_msg(esp_peer_handle_t peer, esp_peer_msg_t *msg) {
    CHECK(peer == own && msg->type == ESP_PEER_MSG_TYPE_SDP && strcmp((char *)msg->data, "answer") == 0);
    OWN_NOTE(own->answers += 1; own->answered = 1);
    return ESP_PEER_ERR_NONE;
}

static int own_video(esp_peer_handle_t peer, esp_peer_video_frame_t *frame) {
    CHECK(peer == own && frame->size == PICTURE_SIZE);
    OWN_NOTE(own->pictures += 1);
    return ESP_PEER_ERR_NONE;
}

static int own_audio(esp_peer_handle_t peer, esp_peer_audio_frame_t *frame) {
    CHECK(peer == own && frame->size == SOUND_SIZE);
    OWN_NOTE(own->sounds += 1);
    return ESP_PEER_ERR_WOULD_BLOCK;
}

/* Says everything back, from within. */
static int own_data(esp_peer_handle_t peer, esp_peer_data_frame_t *frame) {
    CHECK(peer == own && frame->stream_id == 7);
    CHECK(own->cfg.on_data(frame, own->cfg.ctx) == ESP_PEER_ERR_NONE);
    return ESP_PEER_ERR_NONE;
}

static void tell_connected(void) {
    static const esp_peer_state_t states[] = {ESP_PEER_STATE_PAIRED, ESP_PEER_STATE_CONNECTED,
                                              ESP_PEER_STATE_DATA_CHANNEL_CONNECTED,
                                              ESP_PEER_STATE_DATA_CHANNEL_OPENED};
    for (size_t at = 0; at < sizeof states / sizeof states[0]; at++) {
        CHECK(own->cfg.on_state(states[at], own->cfg.ctx) == ESP_PEER_ERR_NONE);
    }
    esp_peer_data_channel_info_t channel = {"own", 7};
    CHECK(own->cfg.on_channel_open(&channel, own->cfg.ctx) == ESP_PEER_ERR_NONE);
    esp_peer_audio_stream_info_t sound = {ESP_PEER_AUDIO_CODEC_OPUS, 48000, 1};
    CHECK(own->cfg.on_audio_info(&sound, own->cfg.ctx) == ESP_PEER_ERR_NONE);
    esp_peer_audio_frame_t frame = {0, (uint8_t *)SOUND, SOUND_SIZE};
    CHECK(own->cfg.on_audio_data(&frame, own->cfg.ctx) == ESP_PEER_ERR_NONE);
    /* What makes no sense is refused. */
    CHECK(own->cfg.on_state((esp_peer_state_t)99, own->cfg.ctx) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(own->cfg.on_msg(NULL, own->cfg.ctx) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(own->cfg.on_state(ESP_PEER_STATE_PAIRED, &channel) == ESP_PEER_ERR_INVALID_ARG);
}

static int own_main_loop(esp_peer_handle_t peer) {
    CHECK(peer == own);
    int answered;
    OWN_NOTE(own->loops += 1; answered = own->answered; own->answered = 0);
    if (answered) {
        tell_connected();
    }
    return ESP_PEER_ERR_NONE;
}

static int own_disconnect(esp_peer_handle_t peer) {
    CHECK(peer == own);
    return own->cfg.on_state(ESP_PEER_STATE_DISCONNECTED, own->cfg.ctx);
}

static int own_query(esp_peer_handle_t peer) {
    CHECK(peer == own);
    OWN_NOTE(own->queries += 1);
    return ESP_PEER_ERR_NONE;
}

static int own_close(esp_peer_handle_t peer) {
    CHECK(peer == own);
    OWN_NOTE(own->closed = 1);
    return ESP_PEER_ERR_NONE;
}

static void answer(void) {
    esp_peer_signaling_msg_t msg = {ESP_PEER_SIGNALING_MSG_SDP, (uint8_t *)"answer", 6};
    CHECK(wire_ends[0].cfg.on_msg(&msg, wire_ends[0].cfg.ctx) == ESP_PEER_ERR_NONE);
    msg.data = NULL;
    CHECK(wire_ends[0].cfg.on_msg(&msg, wire_ends[0].cfg.ctx) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(wire_ends[0].cfg.on_msg(NULL, wire_ends[0].cfg.ctx) == ESP_PEER_ERR_INVALID_ARG);
}

static void talk(station_t *station) {
    esp_peer_handle_t peer = NULL;
    esp_peer_addr_t addr;
    CHECK(esp_webrtc_get_peer_connection(station->rtc, &peer) == ESP_PEER_ERR_NONE && peer != own);
    CHECK(esp_peer_query(peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_query(station->rtc) == ESP_PEER_ERR_NONE && own->queries == 2);
    CHECK(esp_peer_get_paired_addr(peer, &addr) == ESP_PEER_ERR_NOT_SUPPORT);
    CHECK(esp_peer_close(peer) == ESP_PEER_ERR_WRONG_STATE);
    AWAIT(&station->monitor, station->channels == 1 && station->audio_frames == 1 && station->wanted == 1);
    station_say(station, ESP_WEBRTC_CUSTOM_DATA_VIA_DATA_CHANNEL, "echo");
    station_wait_custom(station, ESP_WEBRTC_CUSTOM_DATA_VIA_DATA_CHANNEL, "echo");
    uint8_t picture[PICTURE_SIZE];
    fill_picture(picture);
    esp_peer_video_frame_t video = {0, picture, PICTURE_SIZE};
    esp_peer_audio_frame_t audio = {0, (uint8_t *)SOUND, SOUND_SIZE};
    CHECK(esp_webrtc_capture_send_video(station->capture, &video) == ESP_PEER_ERR_NONE);
    CHECK(esp_webrtc_capture_send_audio(station->capture, &audio) == ESP_PEER_ERR_NONE);
    CHECK(own->pictures == 1 && own->sounds == 1);
}

int main(void) {
    own_t memory;
    memset(&memory, 0, sizeof memory);
    own = &memory;
    esp_peer_ops_t table = {own_open, own_new_connection, NULL,          own_msg,        own_video, own_audio, own_data,
                            NULL,     NULL,               own_main_loop, own_disconnect, own_query, own_close, NULL};
    esp_webrtc_cfg_t cfg = station_config(&station_a, &wire_impl);
    int index = 0;
    cfg.signaling_cfg.signal_url = (char *)"wire:test";
    cfg.signaling_cfg.extra_cfg = &index;
    cfg.signaling_cfg.extra_size = sizeof index;
    cfg.peer_impl = &table;
    cfg.peer_cfg.extra_cfg = (void *)&extra;
    cfg.peer_cfg.extra_size = sizeof extra;
    esp_peer_ice_server_cfg_t server = {(char *)"turn:example.org", (char *)"user", (char *)"word"};
    cfg.peer_cfg.server_lists = &server;
    cfg.peer_cfg.server_num = 1;
    station_open(&station_a, "a", &cfg);
    memset(&table, 0, sizeof table); /* They were copied. */
    memset(&server, 0, sizeof server);
    CHECK(esp_webrtc_start(station_a.rtc) == ESP_PEER_ERR_NONE);
    AWAIT(&wire, own->connections == 1 && wire_ends[1].queued == 1);
    CHECK(strcmp(wire_ends[1].queue[0].text, "offer") == 0);
    answer();
    station_wait(&station_a, ESP_WEBRTC_EVENT_DATA_CHANNEL_OPENED, 1);
    talk(&station_a);
    CHECK(esp_webrtc_stop(station_a.rtc) == ESP_PEER_ERR_NONE);
    CHECK(own->closed && own->answers == 1 && station_a.unwanted == 1);
    /* Callbacks that come too late are refused. */
    CHECK(own->cfg.on_state(ESP_PEER_STATE_PAIRED, own->cfg.ctx) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(wire_ends[0].cfg.on_connected(wire_ends[0].cfg.ctx) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_webrtc_close(station_a.rtc) == ESP_PEER_ERR_NONE);
    station_free(&station_a);
    wire_free();
    printf("passed\n");
    return 0;
}
