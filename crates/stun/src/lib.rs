//! STUN messages, transactions and the TURN client.
//!
//! A received message is a checked view of its bytes ([`Message`]); a message to be sent is written
//! by [`MessageBuilder`] into a buffer of the caller. Neither allocates. Long-term credentials live
//! in [`LongTermAuth`], retransmission in [`Transactions`], and [`turn`] holds the client
//! of a TURN server.
//! Nothing in here makes a system call: time comes in as [`esp_wire::Instant`].
//!
//! ```
//! use esp_stun::{Class, Key, Message, MessageBuilder, Method, TransactionId};
//!
//! let key = Key::short_term("VOkJxbRl1RmTxUk/WvJxBt");
//! let mut buffer = [0; 128];
//! let mut builder = MessageBuilder::request(&mut buffer, Method::BINDING, TransactionId([7; 12]));
//! builder.username("evtj:h6vY").priority(0x6e00_01ff).integrity(&key).fingerprint();
//! let len = builder.finish()?;
//!
//! let message = Message::parse(&buffer[..len])?;
//! assert_eq!(message.class(), Class::Request);
//! assert_eq!(message.username(), Some("evtj:h6vY"));
//! assert!(message.verify(&key).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod attribute;
mod auth;
pub mod behaviour;
mod builder;
mod error_code;
mod header;
mod integrity;
mod message;
mod nonce;
mod opaque;
mod transaction;
pub mod turn;
mod typed;
mod write;

pub use address::Family;
pub use attribute::{AttributeType, known};
pub use auth::{AuthError, AuthVerdict, Generation, LongTermAuth};
pub use builder::{BuildError, MessageBuilder};
pub use error_code::ErrorCode;
pub use header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, is_stun};
pub use integrity::{Integrity, IntegrityError, Key, PasswordAlgorithm, userhash};
pub use message::{Attribute, Attributes, Fingerprint, Message, ParseError};
pub use nonce::SecurityFeatures;
pub use opaque::{OpaqueStringError, opaque_string};
pub use transaction::{Retransmission, RoundTrip, Transaction, Transactions};
pub use typed::{AddressError, AlgorithmList, ChangeRequest, Icmp, UnknownAttributes};
