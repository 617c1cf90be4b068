//! STUN messages, transactions and the TURN client.
