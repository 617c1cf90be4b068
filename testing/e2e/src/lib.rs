//! Browsers, servers and other stacks as counterparts.
