//! Calls of the real program with a real browser, and of our own ends with each other.

mod browser_call;
mod comebacks;
mod data;
mod devices;
mod files;
mod firefox;
mod hostile;
mod janus;
mod local;
mod lost_words;
mod page_restarts;
mod slow;
mod support;
