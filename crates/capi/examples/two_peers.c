/*
 * Two peers of one program that greet each other over a data channel.
 *
 *   cargo build --release -p esp-capi
 *   cc -Icrates/capi/include crates/capi/examples/two_peers.c -o two_peers \
 *      -Ltarget/release -lesp_webrtc -Wl,-rpath,$PWD/target/release
 *   ./two_peers
 *
 * In earnest the peers are on two devices, and what `on_msg` reports goes through a server.
 */
#include <stdio.h>
#include <string.h>

#include "esp_peer.h"

static esp_peer_handle_t peers[2];
static const char *names[2] = {"caller", "callee"};
static int greeted;

static int index_of(void *ctx) { return ctx == &peers[1]; }

static int on_state(esp_peer_state_t state, void *ctx) {
    if (state == ESP_PEER_STATE_CONNECTED) {
        printf("%s: connected\n", names[index_of(ctx)]);
    }
    return 0;
}

/* The signaling of this program: what one peer says is handed to the other. */
static int on_msg(esp_peer_msg_t *msg, void *ctx) { return esp_peer_send_msg(peers[!index_of(ctx)], msg); }

static int on_channel_open(esp_peer_data_channel_info_t *channel, void *ctx) {
    char text[] = "Hello!";
    esp_peer_data_frame_t frame;
    memset(&frame, 0, sizeof frame);
    frame.type = ESP_PEER_DATA_CHANNEL_STRING;
    frame.stream_id = channel->stream_id;
    frame.data = (uint8_t *)text;
    frame.size = (int)strlen(text);
    printf("%s: channel \"%s\" is open\n", names[index_of(ctx)], channel->label);
    return esp_peer_send_data(*(esp_peer_handle_t *)ctx, &frame);
}

static int on_data(esp_peer_data_frame_t *frame, void *ctx) {
    printf("%s: \"%s\"\n", names[index_of(ctx)], (const char *)frame->data);
    greeted += 1;
    return 0;
}

int main(void) {
    esp_peer_set_loopback(true);
    for (int at = 0; at < 2; at++) {
        esp_peer_cfg_t cfg;
        memset(&cfg, 0, sizeof cfg);
        cfg.role = at == 0 ? ESP_PEER_ROLE_CONTROLLING : ESP_PEER_ROLE_CONTROLLED;
        cfg.enable_data_channel = true;
        cfg.ctx = &peers[at];
        cfg.on_state = on_state;
        cfg.on_msg = on_msg;
        cfg.on_channel_open = on_channel_open;
        cfg.on_data = on_data;
        if (esp_peer_open(&cfg, esp_peer_get_default_impl(), &peers[at]) != ESP_PEER_ERR_NONE) {
            return 1;
        }
    }
    /* One task drives both here; as a rule each peer has one. */
    esp_peer_new_connection(peers[1]);
    esp_peer_new_connection(peers[0]);
    while (greeted < 2) {
        if (esp_peer_main_loop(peers[0]) != ESP_PEER_ERR_NONE || esp_peer_main_loop(peers[1]) != ESP_PEER_ERR_NONE) {
            return 1;
        }
    }
    esp_peer_close(peers[0]);
    esp_peer_close(peers[1]);
    return 0;
}
