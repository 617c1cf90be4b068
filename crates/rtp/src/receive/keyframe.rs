//! When to ask for a keyframe.

use std::time::Duration;

use esp_wire::Instant;

/// How keyframes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// RFC 4585 §6.3.1.
    Pli,
    /// RFC 5104 §4.3.1.
    Fir,
}

/// The requests of one stream, never closer together than an interval, repeated until a keyframe
/// comes.
#[derive(Debug)]
pub(crate) struct KeyframeRequests {
    /// What was negotiated; nothing is asked without.
    pub(crate) method: Option<Method>,
    interval: Duration,
    /// Time between unconditional requests, zero for none.
    period: Duration,
    periodic_at: Option<Instant>,
    wanted: bool,
    request_at: Option<Instant>,
    due: bool,
    last: Option<Instant>,
    number: u8,
}

impl KeyframeRequests {
    pub(crate) fn new(now: Instant, interval: Duration, period: Duration) -> Self {
        KeyframeRequests {
            method: None,
            interval,
            period,
            periodic_at: (!period.is_zero()).then_some(now + period),
            wanted: false,
            request_at: None,
            due: false,
            last: None,
            number: 0,
        }
    }

    /// A keyframe is needed.
    pub(crate) fn want(&mut self, now: Instant) {
        self.wanted = true;
        if self.due || self.request_at.is_some() {
            return;
        }
        match self.last.map(|last| last + self.interval) {
            Some(at) if at > now => self.request_at = Some(at),
            _ => self.due = true,
        }
    }

    /// A keyframe came.
    pub(crate) fn on_keyframe(&mut self) {
        self.wanted = false;
        self.request_at = None;
        self.due = false;
    }

    /// Looks whether a request is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.request_at.is_some_and(|at| at <= now) {
            self.request_at = None;
            self.due = true;
        }
        if self.periodic_at.is_some_and(|at| at <= now) {
            self.periodic_at = Some(now + self.period);
            self.due = true;
        }
    }

    /// When to look again.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.method?;
        [self.request_at, self.periodic_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// How to ask now, with the request's number, if a request is due.
    pub(crate) fn request(&self) -> Option<(Method, u8)> {
        let method = self.method.filter(|_| self.due)?;
        Some((method, self.number))
    }

    /// Notes that the request left.
    pub(crate) fn note_asked(&mut self, now: Instant) {
        self.due = false;
        self.last = Some(now);
        self.number = self.number.wrapping_add(1);
        self.request_at = self.wanted.then_some(now + self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spaced_and_repeated_until_a_keyframe_comes() {
        let at = Instant::from_millis;
        let mut requests = KeyframeRequests::new(at(0), Duration::from_millis(500), Duration::ZERO);
        requests.want(at(10));
        assert_eq!(requests.request(), None, "nothing was negotiated");
        requests.method = Some(Method::Fir);
        assert_eq!(requests.request(), Some((Method::Fir, 0)));
        requests.note_asked(at(10));
        requests.want(at(20));
        assert_eq!(
            (requests.request(), requests.next_at()),
            (None, Some(at(510)))
        );
        requests.handle_timeout(at(510));
        assert_eq!(requests.request(), Some((Method::Fir, 1)));
        requests.note_asked(at(510));
        requests.on_keyframe();
        assert_eq!(requests.next_at(), None);
        requests.want(at(600));
        assert_eq!(requests.next_at(), Some(at(1_010)));
    }

    #[test]
    fn a_period_asks_in_any_case() {
        let at = Instant::from_millis;
        let period = Duration::from_millis(300);
        let mut requests = KeyframeRequests::new(at(0), Duration::from_millis(500), period);
        requests.method = Some(Method::Pli);
        for step in 1..4 {
            assert_eq!(requests.next_at(), Some(at(300 * step)));
            requests.handle_timeout(at(300 * step));
            assert!(requests.request().is_some());
            requests.note_asked(at(300 * step));
        }
    }
}
