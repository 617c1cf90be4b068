/* An implementation of a program's own, called by the known names. */
#include "common.h"

#include "esp_peer.h"

typedef struct {
    esp_peer_cfg_t cfg;
    char calls[64];
} own_t;

static int open_calls;
static own_t *last;

static int note(void *handle, char call) {
    own_t *own = (own_t *)handle;
    size_t length = strlen(own->calls);
    CHECK(length + 1 < sizeof own->calls);
    own->calls[length] = call;
    return ESP_PEER_ERR_NONE;
}

static int own_open(esp_peer_cfg_t *cfg, esp_peer_handle_t *handle) {
    open_calls += 1;
    CHECK(*handle == NULL);
    if (cfg->role == ESP_PEER_ROLE_CONTROLLED) {
        return ESP_PEER_ERR_NO_MEM;
    }
    own_t *own = (own_t *)calloc(1, sizeof *own);
    CHECK(own);
    own->cfg = *cfg;
    *handle = last = own;
    return ESP_PEER_ERR_NONE;
}

static int own_new_connection(esp_peer_handle_t handle) { return note(handle, 'n'); }

static int own_update(esp_peer_handle_t handle, esp_peer_role_t role, esp_peer_ice_server_cfg_t *server, int number) {
    CHECK(role == ESP_PEER_ROLE_CONTROLLED && number == 1 && strcmp(server->stun_url, "stun:a") == 0);
    return note(handle, 'u');
}

static int own_msg(esp_peer_handle_t handle, esp_peer_msg_t *msg) {
    CHECK(msg->type == ESP_PEER_MSG_TYPE_SDP);
    return note(handle, 'm');
}

static int own_video(esp_peer_handle_t handle, esp_peer_video_frame_t *frame) {
    CHECK(frame->pts == 1);
    return note(handle, 'v');
}

static int own_audio(esp_peer_handle_t handle, esp_peer_audio_frame_t *frame) {
    CHECK(frame->pts == 2);
    note(handle, 'a');
    return ESP_PEER_ERR_WOULD_BLOCK;
}

static int own_data(esp_peer_handle_t handle, esp_peer_data_frame_t *frame) {
    CHECK(frame->stream_id == 3);
    note(handle, 'd');
    return 1234; /* A code of its own comes through. */
}

static int own_create(esp_peer_handle_t handle, esp_peer_data_channel_cfg_t *cfg) {
    CHECK(cfg->max_retransmit_count == 4 && cfg->max_packet_lifetime == 4);
    return note(handle, 'c');
}

static int own_close_channel(esp_peer_handle_t handle, const char *label) {
    CHECK(strcmp(label, "label") == 0);
    return note(handle, 'x');
}

static int own_main_loop(esp_peer_handle_t handle) {
    own_t *own = (own_t *)handle;
    note(handle, 'l');
    return own->cfg.on_state(ESP_PEER_STATE_PAIRED, own->cfg.ctx);
}

static int own_disconnect(esp_peer_handle_t handle) { return note(handle, 'i'); }

static int own_query(esp_peer_handle_t handle) { return note(handle, 'q'); }

static int own_close(esp_peer_handle_t handle) {
    own_t *own = (own_t *)handle;
    CHECK(strcmp(own->calls, "numvadcxliqt") == 0);
    free(own);
    return ESP_PEER_ERR_NONE;
}

static int own_transformer(esp_peer_handle_t handle, esp_peer_rtp_transform_role_t role,
                           esp_peer_rtp_transform_cb_t *callbacks, void *ctx) {
    CHECK(role == ESP_PEER_RTP_TRANSFORM_ROLE_RECEIVER && callbacks == NULL && ctx == &open_calls);
    return note(handle, 't');
}

static int told;

static int on_state(esp_peer_state_t state, void *ctx) {
    CHECK(ctx == &told && state == ESP_PEER_STATE_PAIRED);
    told += 1;
    return 77;
}

static void all_of_it(esp_peer_handle_t peer) {
    esp_peer_ice_server_cfg_t server = {(char *)"stun:a", NULL, NULL};
    esp_peer_msg_t msg = {ESP_PEER_MSG_TYPE_SDP, (uint8_t *)"sdp", 3};
    esp_peer_video_frame_t video = {1, (uint8_t *)"v", 1};
    esp_peer_audio_frame_t audio = {2, (uint8_t *)"a", 1};
    esp_peer_data_frame_t data = {ESP_PEER_DATA_CHANNEL_DATA, 3, (uint8_t *)"d", 1};
    esp_peer_data_channel_cfg_t channel;
    memset(&channel, 0, sizeof channel);
    channel.max_retransmit_count = 4;
    CHECK(esp_peer_new_connection(peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_update_ice_info(peer, ESP_PEER_ROLE_CONTROLLED, &server, 1) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_send_msg(peer, &msg) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_send_video(peer, &video) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_send_audio(peer, &audio) == ESP_PEER_ERR_WOULD_BLOCK);
    CHECK(esp_peer_send_data(peer, &data) == 1234);
    CHECK(esp_peer_create_data_channel(peer, &channel) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_close_data_channel(peer, "label") == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_main_loop(peer) == 77 && told == 1);
    CHECK(esp_peer_disconnect(peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_query(peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_set_rtp_transformer(peer, ESP_PEER_RTP_TRANSFORM_ROLE_RECEIVER, NULL, &open_calls) ==
          ESP_PEER_ERR_NONE);
    esp_peer_addr_t addr;
    CHECK(esp_peer_get_paired_addr(peer, &addr) == ESP_PEER_ERR_NOT_SUPPORT);
}

int main(void) {
    esp_peer_ops_t ops = {own_open,  own_new_connection, own_update,        own_msg,       own_video,
                          own_audio, own_data,           own_create,        own_close_channel, own_main_loop,
                          own_disconnect, own_query,     own_close,         own_transformer};
    esp_peer_cfg_t cfg;
    memset(&cfg, 0, sizeof cfg);
    cfg.on_state = on_state;
    cfg.ctx = &told;
    esp_peer_handle_t peer = &told;
    cfg.role = ESP_PEER_ROLE_CONTROLLED;
    CHECK(esp_peer_open(&cfg, &ops, &peer) == ESP_PEER_ERR_NO_MEM && peer == NULL);
    cfg.role = ESP_PEER_ROLE_CONTROLLING;
    CHECK(esp_peer_open(&cfg, &ops, &peer) == ESP_PEER_ERR_NONE && peer != NULL);
    memset(&ops, 0, sizeof ops); /* The table was copied. */
    all_of_it(peer);
    CHECK(esp_peer_close(peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_close(peer) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(open_calls == 2);

    /* A table with holes. */
    CHECK(esp_peer_open(&cfg, &ops, &peer) == ESP_PEER_ERR_INVALID_ARG && peer == NULL);
    ops.open = own_open;
    CHECK(esp_peer_open(&cfg, &ops, &peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_new_connection(peer) == ESP_PEER_ERR_NOT_SUPPORT);
    CHECK(esp_peer_send_audio(peer, NULL) == ESP_PEER_ERR_NOT_SUPPORT);
    CHECK(esp_peer_update_ice_info(peer, ESP_PEER_ROLE_CONTROLLED, NULL, 0) == ESP_PEER_ERR_NOT_SUPPORT);
    CHECK(esp_peer_set_rtp_transformer(peer, ESP_PEER_RTP_TRANSFORM_ROLE_SENDER, NULL, NULL) ==
          ESP_PEER_ERR_NOT_SUPPORT);
    /* Nobody can close it: the program gives back what it opened. */
    CHECK(esp_peer_close(peer) == ESP_PEER_ERR_NOT_SUPPORT);
    free(last);
    CHECK(esp_peer_main_loop(peer) == ESP_PEER_ERR_INVALID_ARG);

    /* The table of the library is called with handles of its own. */
    const esp_peer_ops_t *theirs = esp_peer_get_default_impl();
    cfg.enable_data_channel = true;
    cfg.on_state = NULL;
    CHECK(theirs->open(&cfg, &peer) == ESP_PEER_ERR_NONE);
    CHECK(theirs->query(peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_query(peer) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(theirs->close(peer) == ESP_PEER_ERR_NONE && theirs->close(peer) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(theirs->open(NULL, &peer) == ESP_PEER_ERR_INVALID_ARG && peer == NULL);
    printf("passed\n");
    return 0;
}
