//! Our signalings, as configurations of C describe them.

use std::ffi::{c_char, c_int, c_void};

use esp_webrtc::signaling::{
    AppRtc, AppRtcConfig, Janus, JanusConfig, Signaling, Whip, WhipAuth, WhipConfig,
};

use super::types::*;
use super::words::error;
use crate::border::{Outcome, invalid, read, text};

/// Which of our signalings a table stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    AppRtc,
    Whip,
    Janus,
}

/// A signaling of ours that can be made again and again.
#[derive(Clone)]
pub(crate) enum Maker {
    AppRtc(AppRtcConfig),
    Whip(WhipConfig),
    Janus(JanusConfig),
}

impl Maker {
    /// Reads what a configuration says.
    ///
    /// # Safety
    /// The pointers are NULL, or show what the headers say.
    pub(crate) unsafe fn read(
        kind: Kind,
        url: *const c_char,
        extra: *const c_void,
        extra_size: c_int,
    ) -> Outcome<Self> {
        // SAFETY: the caller vouches for the text.
        let Some(url) = unsafe { text(url, "a URL that is not UTF-8") }? else {
            return invalid("no URL of a signaling server");
        };
        match kind {
            Kind::AppRtc => AppRtcConfig::new(&url).map(Maker::AppRtc).map_err(error),
            Kind::Whip => {
                let config = WhipConfig::new(&url).map_err(error)?;
                // SAFETY: the caller vouches for the structure.
                let auth = unsafe { whip_auth(extra, extra_size) }?;
                config.with_auth(auth).map(Maker::Whip).map_err(error)
            }
            // SAFETY: the caller vouches for the structure.
            Kind::Janus => unsafe { janus(&url, extra, extra_size) }.map(Maker::Janus),
        }
    }

    pub(crate) fn make(&self) -> Box<dyn Signaling> {
        match self.clone() {
            Maker::AppRtc(config) => Box::new(AppRtc::new(config)),
            Maker::Whip(config) => Box::new(Whip::new(config)),
            Maker::Janus(config) => Box::new(Janus::new(config)),
        }
    }
}

/// How a client of WHIP says who it is.
///
/// # Safety
/// The pointer is NULL, or shows as many bytes as `size` says, which are an `esp_peer_signaling_whip_cfg_t`.
unsafe fn whip_auth(extra: *const c_void, size: c_int) -> Outcome<WhipAuth> {
    if extra.is_null() && size == 0 {
        return Ok(WhipAuth::None);
    }
    if usize::try_from(size) != Ok(size_of::<esp_peer_signaling_whip_cfg_t>()) {
        return invalid("extra_size is not the size of `esp_peer_signaling_whip_cfg_t`");
    }
    // SAFETY: the size is that of the structure; the caller vouches for the rest.
    let config = unsafe { read(extra.cast::<esp_peer_signaling_whip_cfg_t>(), "extra_cfg") }?;
    // SAFETY: as above.
    let token = unsafe { text(config.token, "a token that is not UTF-8") }?;
    let token = token.unwrap_or_default();
    match config.auth_type {
        0 | 1 if token.is_empty() => Ok(WhipAuth::None),
        0 => Ok(WhipAuth::Bearer(token)),
        1 => match token.split_once(':') {
            Some((user, password)) => Ok(WhipAuth::Basic {
                user: user.into(),
                password: password.into(),
            }),
            None => invalid("basic authorization needs `USER:PASSWORD`"),
        },
        _ => invalid("auth_type"),
    }
}

/// The room of a Janus server, and what it asks for.
///
/// # Safety
/// The pointer is NULL, or shows as many bytes as `size` says, which are an `esp_peer_signaling_janus_cfg_t`.
unsafe fn janus(url: &str, extra: *const c_void, size: c_int) -> Outcome<JanusConfig> {
    if usize::try_from(size) != Ok(size_of::<esp_peer_signaling_janus_cfg_t>()) {
        return invalid("extra_size is not the size of `esp_peer_signaling_janus_cfg_t`");
    }
    // SAFETY: the size is that of the structure; the caller vouches for the rest.
    let given = unsafe { read(extra.cast::<esp_peer_signaling_janus_cfg_t>(), "extra_cfg") }?;
    if given.room_id == 0 {
        return invalid("no room");
    }
    let some = |pointer| {
        // SAFETY: as above.
        let text = unsafe { text(pointer, "a text that is not UTF-8") };
        text.map(|text| text.filter(|text| !text.is_empty()))
    };
    let mut config = JanusConfig::publish(url, given.room_id).map_err(error)?;
    if let Some(token) = some(given.token)? {
        config = config.with_token(token);
    }
    if let Some(pin) = some(given.pin)? {
        config = config.with_pin(pin);
    }
    if let Some(display) = some(given.display)? {
        config = config.with_display(display);
    }
    if let Some(secret) = some(given.api_secret)? {
        config = config.with_api_secret(secret);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a configuration of WHIP says.
    fn auth(auth_type: c_int, token: *const c_char) -> Outcome<WhipAuth> {
        let config = esp_peer_signaling_whip_cfg_t {
            auth_type,
            token: token.cast_mut(),
        };
        let size = size_of_val(&config) as c_int;
        // SAFETY: it shows a structure and a text, both of which live until the call returns.
        unsafe { whip_auth((&raw const config).cast(), size) }
    }

    #[test]
    fn tokens_are_read() {
        assert_eq!(auth(0, c"t".as_ptr()), Ok(WhipAuth::Bearer("t".to_owned())));
        let basic = WhipAuth::Basic {
            user: "u".to_owned(),
            password: "p:q".to_owned(),
        };
        assert_eq!(auth(1, c"u:p:q".as_ptr()), Ok(basic));
        assert_eq!(auth(1, c"".as_ptr()), Ok(WhipAuth::None));
        assert!(auth(1, c"u".as_ptr()).is_err());
        assert!(auth(2, c"t".as_ptr()).is_err());
        // SAFETY: NULL.
        assert!(unsafe { whip_auth(std::ptr::null(), 8) }.is_err());
    }
}
