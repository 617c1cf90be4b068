//! What runs on a host.

use esp_wire::{Action, Input, Instant, Train};

/// A machine without I/O that the net drives, with the verbs that all engines share.
pub trait Endpoint {
    /// Takes what the host's driver has to say.
    fn handle_input(&mut self, now: Instant, input: Input<'_>);

    /// Called when the instant of [`Endpoint::poll_timeout`] has come.
    fn handle_timeout(&mut self, now: Instant);

    /// Fills one batch for one destination; false when there is nothing to send.
    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool;

    /// When it wants to be woken.
    fn poll_timeout(&self) -> Option<Instant>;

    /// What it asks of the driver.
    fn poll_action(&mut self) -> Option<Action>;
}

impl<T: Endpoint + ?Sized> Endpoint for Box<T> {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        (**self).handle_input(now, input);
    }

    fn handle_timeout(&mut self, now: Instant) {
        (**self).handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        (**self).poll_transmit(now, train)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (**self).poll_timeout()
    }

    fn poll_action(&mut self) -> Option<Action> {
        (**self).poll_action()
    }
}
