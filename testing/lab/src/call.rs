//! Two ends and the signaling between them: the test itself carries it.

use std::time::Duration;

use esp_e2e::wait;
use serde_json::Value;

use crate::Outcome;

/// One end of a call.
pub trait End {
    /// Starts its connection.
    ///
    /// # Errors
    /// When it has ended.
    fn begin(&mut self) -> Outcome<()>;
    /// Asks how it does; gives what it has for the other end.
    ///
    /// # Errors
    /// When it has ended, or something arrived that was not sent.
    fn poll(&mut self) -> Outcome<Vec<Value>>;
    /// Brings what the other end has said.
    ///
    /// # Errors
    /// When it has ended.
    fn deliver(&mut self, signal: &Value) -> Outcome<()>;
    /// What is known of it, for a failure's text.
    fn state(&self) -> String;
}

/// A call of two ends.
#[derive(Debug)]
pub struct Call<A, B> {
    /// The end that offers.
    pub caller: A,
    /// The end that answers.
    pub callee: B,
}

impl<A: End, B: End> Call<A, B> {
    /// Starts both ends.
    ///
    /// # Errors
    /// When one has ended.
    pub fn begin(caller: A, callee: B) -> Outcome<Self> {
        let mut call = Call { caller, callee };
        call.callee.begin()?;
        call.caller.begin()?;
        Ok(call)
    }

    /// Carries signaling until `is_so`, which looks at what both ends have said last.
    ///
    /// # Errors
    /// When `patience` is over, with `what` and all that is known of both ends.
    pub fn until(
        &mut self,
        what: &str,
        patience: Duration,
        mut is_so: impl FnMut(&A, &B) -> bool,
    ) -> Outcome<()> {
        let found = wait::until(what, patience, || match self.carry() {
            Err(why) => Some(Err(format!("{what}: {why}"))),
            Ok(()) => is_so(&self.caller, &self.callee).then_some(Ok(())),
        });
        found.map_err(|why| {
            format!(
                "{why}\ncaller: {}\ncallee: {}",
                self.caller.state(),
                self.callee.state()
            )
        })?
    }

    fn carry(&mut self) -> Outcome<()> {
        for signal in self.caller.poll()? {
            self.callee.deliver(&signal)?;
        }
        for signal in self.callee.poll()? {
            self.caller.deliver(&signal)?;
        }
        Ok(())
    }
}
