//! The long-term credential mechanism against a server of a few lines (RFC 8489 §9.2).

use esp_stun::{
    AuthError, AuthVerdict, Class, ErrorCode, Generation, Integrity, Key, LongTermAuth, Message,
    MessageBuilder, Method, PasswordAlgorithm, SecurityFeatures, TransactionId, userhash,
};

const REALM: &str = "example.org";
const ACCEPTED: AuthVerdict = AuthVerdict::Accept {
    authenticated: true,
};

/// A server that hands out challenges and checks the answers.
struct Server {
    nonce: String,
    algorithms: Vec<PasswordAlgorithm>,
    password: &'static str,
}

impl Server {
    fn old() -> Self {
        Server {
            nonce: "first".into(),
            algorithms: Vec::new(),
            password: "pass",
        }
    }

    fn new(algorithms: &[PasswordAlgorithm], features: SecurityFeatures) -> Self {
        Server {
            nonce: features.nonce_cookie() + "first",
            algorithms: algorithms.to_vec(),
            password: "pass",
        }
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let request = Message::parse(request).unwrap();
        let algorithm = request.password_algorithm().unwrap_or_default();
        let key = Key::long_term("user", REALM, self.password, algorithm);
        let code = match (request.integrity(), request.nonce()) {
            (None, _) => Some(ErrorCode::UNAUTHENTICATED),
            (_, Some(nonce)) if nonce != self.nonce => Some(ErrorCode::STALE_NONCE),
            _ if request.verify(&key).is_err() => Some(ErrorCode::UNAUTHENTICATED),
            _ => None,
        };
        let mut buffer = [0; 512];
        let len = match code {
            Some(code) => {
                let mut builder = MessageBuilder::error(&mut buffer, &request);
                builder.error_code(code).realm(REALM).nonce(&self.nonce);
                if !self.algorithms.is_empty() {
                    builder.password_algorithms(&self.algorithms);
                }
                builder.finish().unwrap()
            }
            None => {
                let integrity = request.integrity().unwrap();
                let mut builder = MessageBuilder::success(&mut buffer, &request);
                builder.integrity_by(integrity, &key).finish().unwrap()
            }
        };
        buffer[..len].to_vec()
    }
}

fn request(auth: &LongTermAuth) -> (Vec<u8>, Generation) {
    let mut buffer = [0; 512];
    let id = TransactionId([3; 12]);
    let mut builder = MessageBuilder::request(&mut buffer, Method::ALLOCATE, id);
    auth.apply(&mut builder);
    let len = builder.finish().unwrap();
    (buffer[..len].to_vec(), auth.generation())
}

fn exchange(auth: &mut LongTermAuth, server: &Server) -> AuthVerdict {
    let (bytes, sent) = request(auth);
    let answer = server.answer(&bytes);
    auth.on_response(&Message::parse(&answer).unwrap(), sent)
}

fn user() -> LongTermAuth {
    LongTermAuth::new("user", "pass").unwrap()
}

#[test]
fn a_server_of_old() {
    let (mut auth, mut server) = (user(), Server::old());
    assert_eq!(exchange(&mut auth, &server), AuthVerdict::Retry);
    assert_eq!(auth.realm(), Some(REALM));
    assert_eq!(exchange(&mut auth, &server), ACCEPTED);
    server.nonce = "second".into();
    assert_eq!(exchange(&mut auth, &server), AuthVerdict::Retry);
    assert_eq!(exchange(&mut auth, &server), ACCEPTED);
    let (bytes, _) = request(&auth);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.username(), Some("user"));
    assert_eq!(message.integrity(), Some(Integrity::Sha1));
}

#[test]
fn a_server_of_today() {
    let features = SecurityFeatures::PASSWORD_ALGORITHMS.with(SecurityFeatures::USERNAME_ANONYMITY);
    let offers = [PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5];
    let (mut auth, server) = (user(), Server::new(&offers, features));
    assert_eq!(exchange(&mut auth, &server), AuthVerdict::Retry);
    assert_eq!(exchange(&mut auth, &server), ACCEPTED);
    let (bytes, _) = request(&auth);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.username(), None);
    assert_eq!(message.userhash(), Some(&userhash("user", REALM)));
    assert_eq!(
        message.password_algorithm(),
        Some(PasswordAlgorithm::Sha256)
    );
    assert!(message.password_algorithms().unwrap().eq([2, 1]));
    assert_eq!(message.integrity(), Some(Integrity::Sha256));
}

#[test]
fn a_wrong_password_is_tried_once() {
    let mut auth = LongTermAuth::new("user", "wrong").unwrap();
    let server = Server::old();
    assert_eq!(exchange(&mut auth, &server), AuthVerdict::Retry);
    let refused = AuthVerdict::Failed(AuthError::Refused);
    assert_eq!(exchange(&mut auth, &server), refused);
}

#[test]
fn stripped_features_are_noticed() {
    let features = SecurityFeatures::PASSWORD_ALGORITHMS;
    let (mut auth, mut server) = (user(), Server::new(&[], features));
    let down = AuthVerdict::Failed(AuthError::BidDown);
    assert_eq!(exchange(&mut auth, &server), down);
    // The same on the way, after a sound start.
    server.algorithms = vec![PasswordAlgorithm::Sha256];
    assert_eq!(exchange(&mut auth, &server), AuthVerdict::Retry);
    assert_eq!(exchange(&mut auth, &server), ACCEPTED);
    let old = Server::old();
    assert_eq!(exchange(&mut auth, &old), AuthVerdict::Retry);
    // The new nonce is taken, and nothing is lowered.
    let (again, _) = request(&auth);
    let again = Message::parse(&again).unwrap();
    assert_eq!(again.integrity(), Some(Integrity::Sha256));
    assert_eq!(again.password_algorithm(), Some(PasswordAlgorithm::Sha256));
}

#[test]
fn stale_without_end() {
    let (mut auth, mut server) = (user(), Server::old());
    assert_eq!(exchange(&mut auth, &server), AuthVerdict::Retry);
    for round in 0..5 {
        server.nonce = format!("round {round}");
        assert_eq!(exchange(&mut auth, &server), AuthVerdict::Retry);
    }
    server.nonce = "last".into();
    let failed = AuthVerdict::Failed(AuthError::StaleForever);
    assert_eq!(exchange(&mut auth, &server), failed);
}

#[test]
fn requests_in_flight_share_one_challenge() {
    let (mut auth, mut server) = (user(), Server::old());
    assert_eq!(exchange(&mut auth, &server), AuthVerdict::Retry);
    let (first, sent) = request(&auth);
    let (second, _) = request(&auth);
    server.nonce = "second".into();
    let (first, second) = (server.answer(&first), server.answer(&second));
    let first = Message::parse(&first).unwrap();
    assert_eq!(auth.on_response(&first, sent), AuthVerdict::Retry);
    let generation = auth.generation();
    server.nonce = "third".into();
    let second = Message::parse(&second).unwrap();
    assert_eq!(auth.on_response(&second, sent), AuthVerdict::Retry);
    assert_eq!(auth.generation(), generation);
}

#[test]
fn unprotected_answers_are_discarded() {
    let (mut auth, server) = (user(), Server::old());
    assert_eq!(exchange(&mut auth, &server), AuthVerdict::Retry);
    let (bytes, sent) = request(&auth);
    let request = Message::parse(&bytes).unwrap();
    let mut buffer = [0; 64];
    for class in [Class::Success, Class::Error] {
        let id = request.transaction_id();
        let mut builder = MessageBuilder::new(&mut buffer, class, Method::ALLOCATE, id);
        if class == Class::Error {
            builder.error_code(ErrorCode::BAD_REQUEST);
        }
        let len = builder.finish().unwrap();
        let forged = Message::parse(&buffer[..len]).unwrap();
        assert_eq!(auth.on_response(&forged, sent), AuthVerdict::Discard);
    }
}

#[test]
fn secrets_are_not_shown() {
    let (mut auth, server) = (user(), Server::old());
    exchange(&mut auth, &server);
    let shown = format!("{auth:?}");
    assert!(shown.contains("user") && !shown.contains("pass"), "{shown}");
}
