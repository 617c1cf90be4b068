//! The room server and its page.
