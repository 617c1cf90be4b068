/* Two peers of one process: frames, messages, channels, a connection after the other. */
#include "side.h"

#define FRAMES 10
#define BULK (64 * 1024)

static side_t a, b;

/* The transformer of the sender turns every bit of sound around. */
static const uint8_t sound[SOUND_SIZE + 1] = SOUND;
static uint8_t picture[PICTURE_SIZE];

static int transformed[2];

static int turned_size(esp_peer_rtp_frame_t *frame, bool *in_place, void *ctx) {
    CHECK(!*in_place && frame->orig_size > 0 && frame->orig_data != NULL);
    uint8_t first = ctx == &transformed[0] ? sound[0] : (uint8_t)~sound[0];
    if (frame->orig_data[0] != first) {
        return ESP_PEER_ERR_NOT_SUPPORT; /* A picture: as it is. */
    }
    frame->encoded_size = frame->orig_size;
    *in_place = ctx == &transformed[0];
    return 0;
}

static int turn(esp_peer_rtp_frame_t *frame, void *ctx) {
    CHECK((frame->orig_data == frame->encoded_data) == (ctx == &transformed[0]));
    CHECK(frame->encoded_size == frame->orig_size);
    for (uint32_t at = 0; at < frame->orig_size; at++) {
        frame->encoded_data[at] = (uint8_t)~frame->orig_data[at];
    }
    __atomic_add_fetch((int *)ctx, 1, __ATOMIC_RELAXED);
    return 0;
}

static int on_audio_data(esp_peer_audio_frame_t *frame, void *ctx) {
    side_t *side = (side_t *)ctx;
    CHECK(frame->size == SOUND_SIZE && memcmp(frame->data, sound, SOUND_SIZE) == 0);
    side_lock(side);
    side->audio_frames += 1;
    side_change(side);
    side_unlock(side);
    return 0;
}

static int on_video_data(esp_peer_video_frame_t *frame, void *ctx) {
    side_t *side = (side_t *)ctx;
    CHECK(frame->size == PICTURE_SIZE && memcmp(frame->data, picture, PICTURE_SIZE) == 0);
    side_lock(side);
    side->video_frames += 1;
    side_change(side);
    side_unlock(side);
    return 0;
}

static void open_side(side_t *side, esp_peer_role_t role, esp_peer_default_cfg_t *extra) {
    esp_peer_cfg_t cfg = side_config(side, role);
    cfg.audio_info.codec = ESP_PEER_AUDIO_CODEC_OPUS;
    cfg.audio_info.sample_rate = 16000;
    cfg.audio_info.channel = 1;
    cfg.audio_dir = ESP_PEER_MEDIA_DIR_SEND_RECV;
    cfg.video_info.codec = ESP_PEER_VIDEO_CODEC_H264;
    cfg.video_dir = ESP_PEER_MEDIA_DIR_SEND_RECV;
    cfg.on_audio_data = on_audio_data;
    cfg.on_video_data = on_video_data;
    cfg.extra_cfg = extra;
    cfg.extra_size = extra ? (int)sizeof *extra : 0;
    CHECK(esp_peer_open(&cfg, esp_peer_get_default_impl(), &side->peer) == ESP_PEER_ERR_NONE);
    CHECK(side->peer != NULL);
}

static void connect_sides(int times) {
    CHECK(esp_peer_new_connection(b.peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_new_connection(a.peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_new_connection(a.peer) == ESP_PEER_ERR_WRONG_STATE);
    WAIT(&a, a.states[ESP_PEER_STATE_CONNECTED] >= times);
    WAIT(&b, b.states[ESP_PEER_STATE_CONNECTED] >= times);
}

/* Sends frames until enough of them came through: nobody promises that all do. */
static void exchange_frames(side_t *from, side_t *to) {
    esp_peer_audio_frame_t audio = {0, (uint8_t *)sound, SOUND_SIZE};
    esp_peer_video_frame_t video = {0, picture, PICTURE_SIZE};
    time_t began = time(NULL);
    for (;;) {
        side_lock(to);
        int enough = to->audio_frames >= FRAMES && to->video_frames >= FRAMES;
        if (!enough) {
            side_wait(to, 20);
        }
        side_unlock(to);
        if (enough) {
            return;
        }
        CHECK(time(NULL) - began < PATIENCE);
        int code = esp_peer_send_audio(from->peer, &audio);
        CHECK(code == ESP_PEER_ERR_NONE || code == ESP_PEER_ERR_WOULD_BLOCK);
        code = esp_peer_send_video(from->peer, &video);
        CHECK(code == ESP_PEER_ERR_NONE || code == ESP_PEER_ERR_WOULD_BLOCK);
        audio.pts += 20;
        video.pts += 20;
    }
}

static void create(side_t *side, const char *label, esp_peer_data_channel_reliable_type_t type, bool ordered) {
    esp_peer_data_channel_cfg_t cfg;
    memset(&cfg, 0, sizeof cfg);
    cfg.type = type;
    cfg.ordered = ordered;
    cfg.label = (char *)label;
    cfg.max_packet_lifetime = 100;
    CHECK(esp_peer_create_data_channel(side->peer, &cfg) == ESP_PEER_ERR_NONE);
}

/* Sends every message back, from within the callback. */
static void echo(side_t *side, esp_peer_data_frame_t *frame) {
    CHECK(esp_peer_main_loop(side->peer) == ESP_PEER_ERR_WRONG_STATE);
    CHECK(esp_peer_send_data(side->peer, frame) == ESP_PEER_ERR_NONE);
}

static void exchange_messages(uint16_t stream_id, uint8_t *bulk) {
    side_answer(&b, echo);
    side_send(&a, stream_id, ESP_PEER_DATA_CHANNEL_STRING, "hello", 5);
    side_send(&a, stream_id, ESP_PEER_DATA_CHANNEL_DATA, bulk, BULK);
    side_send(&a, stream_id, ESP_PEER_DATA_CHANNEL_STRING, NULL, 0);
    side_send(&a, stream_id, ESP_PEER_DATA_CHANNEL_DATA, "", 0);
    side_t *sides[2] = {&b, &a};
    for (int at = 0; at < 2; at++) {
        side_expect(sides[at], stream_id, ESP_PEER_DATA_CHANNEL_STRING, "hello", 5);
        side_expect(sides[at], stream_id, ESP_PEER_DATA_CHANNEL_DATA, bulk, BULK);
        side_expect(sides[at], stream_id, ESP_PEER_DATA_CHANNEL_STRING, "", 0);
        side_expect(sides[at], stream_id, ESP_PEER_DATA_CHANNEL_DATA, "", 0);
    }
    side_answer(&b, NULL);
}

static void use_channels(uint8_t *bulk) {
    create(&a, "chat", ESP_PEER_DATA_CHANNEL_RELIABLE, true);
    create(&b, "bulk", ESP_PEER_DATA_CHANNEL_RELIABLE, false);
    create(&b, "lossy", ESP_PEER_DATA_CHANNEL_PARTIAL_RELIABLE_RETX, false);
    uint16_t chat = side_stream(&a, "chat");
    CHECK(side_stream(&b, "chat") == chat);
    uint16_t other = side_stream(&b, "bulk");
    CHECK(side_stream(&a, "bulk") == other && other != chat);
    CHECK(side_stream(&a, "lossy") == side_stream(&b, "lossy"));
    exchange_messages(chat, bulk);
    side_send(&b, other, ESP_PEER_DATA_CHANNEL_DATA, bulk, BULK);
    side_expect(&a, other, ESP_PEER_DATA_CHANNEL_DATA, bulk, BULK);

    /* What was sent before the closing arrives before it. */
    side_send(&a, chat, ESP_PEER_DATA_CHANNEL_STRING, "the last", 8);
    CHECK(esp_peer_close_data_channel(a.peer, "chat") == ESP_PEER_ERR_NONE);
    esp_peer_data_frame_t late = {ESP_PEER_DATA_CHANNEL_STRING, chat, (uint8_t *)"late", 4};
    CHECK(esp_peer_send_data(a.peer, &late) == ESP_PEER_ERR_NOT_EXISTS);
    side_expect(&b, chat, ESP_PEER_DATA_CHANNEL_STRING, "the last", 8);
    WAIT(&a, side_channel(&a, "chat") == NULL);
    WAIT(&b, side_channel(&b, "chat") == NULL);
    CHECK(esp_peer_close_data_channel(a.peer, "chat") == ESP_PEER_ERR_NOT_EXISTS);
    CHECK(esp_peer_send_data(b.peer, &late) == ESP_PEER_ERR_NOT_EXISTS);
    late.type = ESP_PEER_DATA_CHANNEL_NONE;
    late.stream_id = other;
    CHECK(esp_peer_send_data(b.peer, &late) == ESP_PEER_ERR_INVALID_ARG);
    /* The other channels go on. */
    side_send(&a, other, ESP_PEER_DATA_CHANNEL_STRING, "still here", 10);
    side_expect(&b, other, ESP_PEER_DATA_CHANNEL_STRING, "still here", 10);
}

static void check_media(void) {
    exchange_frames(&a, &b);
    CHECK(__atomic_load_n(&transformed[0], __ATOMIC_RELAXED) >= FRAMES);
    CHECK(__atomic_load_n(&transformed[1], __ATOMIC_RELAXED) >= FRAMES);
    CHECK(esp_peer_set_rtp_transformer(a.peer, ESP_PEER_RTP_TRANSFORM_ROLE_SENDER, NULL, NULL) == ESP_PEER_ERR_NONE);
    exchange_frames(&b, &a);
    for (side_t *side = &a; side; side = side == &a ? &b : NULL) {
        side_lock(side);
        CHECK(side->audio_infos > 0 && side->audio_info.codec == ESP_PEER_AUDIO_CODEC_OPUS);
        CHECK(side->audio_info.sample_rate == 48000 && side->audio_info.channel >= 1);
        CHECK(side->video_infos > 0 && side->video_info.codec == ESP_PEER_VIDEO_CODEC_H264);
        CHECK(side->states[ESP_PEER_STATE_REMOTE_AUDIO_TRACK_ADDED] >= 1);
        CHECK(side->states[ESP_PEER_STATE_REMOTE_VIDEO_TRACK_ADDED] >= 1);
        side_unlock(side);
    }
}

static void check_address(side_t *side) {
    esp_peer_addr_t addr;
    memset(&addr, 0xff, sizeof addr);
    CHECK(esp_peer_get_paired_addr(side->peer, &addr) == ESP_PEER_ERR_NONE);
    CHECK(addr.port != 0 && (addr.family == 2 || addr.family == 10));
}

static void check_states(side_t *side) {
    static const esp_peer_state_t told[] = {
        ESP_PEER_STATE_NEW_CONNECTION, ESP_PEER_STATE_CANDIDATE_GATHERING, ESP_PEER_STATE_PAIRING,
        ESP_PEER_STATE_PAIRED,         ESP_PEER_STATE_CONNECTING,          ESP_PEER_STATE_CONNECTED,
        ESP_PEER_STATE_DATA_CHANNEL_CONNECTED,
    };
    side_lock(side);
    for (size_t at = 0; at < sizeof told / sizeof told[0]; at++) {
        CHECK(side->states[told[at]] >= 1);
    }
    side_unlock(side);
}

/* Closes the side that a message came to, from within the callback. */
static void close_from_within(side_t *side, esp_peer_data_frame_t *frame) {
    uint8_t first = frame->data[0];
    CHECK(esp_peer_close(side->peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_close(side->peer) == ESP_PEER_ERR_INVALID_ARG);
    CHECK(esp_peer_send_data(side->peer, frame) == ESP_PEER_ERR_INVALID_ARG);
    /* What was lent is still there. */
    CHECK(frame->data[0] == first && frame->size == 7);
    side_lock(side);
    CHECK(side->states[ESP_PEER_STATE_CLOSED] == 1);
    side->closed = 1;
    side_unlock(side);
}

static void first_call(uint8_t *bulk) {
    connect_sides(1);
    uint16_t automatic = side_stream(&a, "data");
    CHECK(side_stream(&b, "data") == automatic);
    check_address(&a);
    check_address(&b);
    check_media();
    use_channels(bulk);
    check_states(&a);
    check_states(&b);
    CHECK(esp_peer_query(a.peer) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_disconnect(a.peer) == ESP_PEER_ERR_NONE);
    WAIT(&a, a.states[ESP_PEER_STATE_DISCONNECTED] >= 1);
    WAIT(&b, b.states[ESP_PEER_STATE_DISCONNECTED] >= 1);
    WAIT(&b, side_channel(&b, "bulk") == NULL && side_channel(&b, "data") == NULL);
    esp_peer_data_frame_t late = {ESP_PEER_DATA_CHANNEL_STRING, automatic, (uint8_t *)"late", 4};
    CHECK(esp_peer_send_data(a.peer, &late) == ESP_PEER_ERR_WRONG_STATE);
}

static void second_call(void) {
    connect_sides(2);
    uint16_t stream_id = side_stream(&a, "data");
    side_stream(&b, "data");
    create(&b, "again", ESP_PEER_DATA_CHANNEL_RELIABLE, true);
    stream_id = side_stream(&a, "again");
    side_stream(&b, "again");
    side_send(&a, stream_id, ESP_PEER_DATA_CHANNEL_STRING, "once more", 9);
    side_expect(&b, stream_id, ESP_PEER_DATA_CHANNEL_STRING, "once more", 9);
    side_answer(&b, close_from_within);
    side_send(&a, stream_id, ESP_PEER_DATA_CHANNEL_DATA, "goodbye", 7);
    WAIT(&b, b.loop_over);
    WAIT(&a, a.states[ESP_PEER_STATE_DISCONNECTED] >= 2);
    /* This side is closed while another task is in its main loop. */
    CHECK(esp_peer_close(a.peer) == ESP_PEER_ERR_NONE);
    side_lock(&a);
    CHECK(a.states[ESP_PEER_STATE_CLOSED] == 1);
    a.closed = 1;
    side_unlock(&a);
    WAIT(&a, a.loop_over);
}

int main(void) {
    static uint8_t bulk[BULK];
    for (int at = 0; at < BULK; at++) {
        bulk[at] = (uint8_t)(at ^ at >> 8);
    }
    fill_picture(picture);
    side_init(&a, "a");
    side_init(&b, "b");
    a.other = &b;
    b.other = &a;
    CHECK(esp_peer_set_loopback(true) == ESP_PEER_ERR_NONE);
    CHECK(esp_peer_pre_generate_cert() == ESP_PEER_ERR_NONE);
    esp_peer_default_cfg_t extra;
    memset(&extra, 0, sizeof extra);
    extra.agent_recv_timeout = 50;
    extra.data_ch_cfg.send_cache_size = 200000;
    extra.data_ch_cfg.recv_cache_size = 200000;
    extra.keep_role = true;
    open_side(&a, ESP_PEER_ROLE_CONTROLLING, &extra);
    open_side(&b, ESP_PEER_ROLE_CONTROLLED, NULL);
    esp_peer_rtp_transform_cb_t both = {turned_size, turn};
    CHECK(esp_peer_set_rtp_transformer(a.peer, ESP_PEER_RTP_TRANSFORM_ROLE_SENDER, &both, &transformed[0]) == 0);
    CHECK(esp_peer_set_rtp_transformer(b.peer, ESP_PEER_RTP_TRANSFORM_ROLE_RECEIVER, &both, &transformed[1]) == 0);
    memset(&both, 0, sizeof both); /* It was copied. */
    CHECK(pthread_create(&a.task, NULL, main_loop, &a) == 0);
    CHECK(pthread_create(&b.task, NULL, main_loop, &b) == 0);
    first_call(bulk);
    second_call();
    pthread_join(a.task, NULL);
    pthread_join(b.task, NULL);
    side_free(&a);
    side_free(&b);
    printf("passed\n");
    return 0;
}
