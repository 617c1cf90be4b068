//! Where peer connections come from.

use std::sync::Arc;

use esp_driver::Driver;
use esp_peer::{Error, Handler, PeerConfig, PeerConnection};

/// Opens peer connections. A [`Driver`] is one; so is any function of this shape.
pub trait Connector: Send {
    /// Opens a peer connection that tells `handler` what happens.
    ///
    /// # Errors
    /// Those of the implementation.
    fn open(
        &mut self,
        config: PeerConfig,
        handler: Box<dyn Handler>,
    ) -> Result<Arc<dyn PeerConnection>, Error>;
}

impl Connector for Driver {
    fn open(
        &mut self,
        config: PeerConfig,
        handler: Box<dyn Handler>,
    ) -> Result<Arc<dyn PeerConnection>, Error> {
        Ok(Arc::new(Driver::open(self, config, handler)?))
    }
}

impl<F> Connector for F
where
    F: FnMut(PeerConfig, Box<dyn Handler>) -> Result<Arc<dyn PeerConnection>, Error> + Send,
{
    fn open(
        &mut self,
        config: PeerConfig,
        handler: Box<dyn Handler>,
    ) -> Result<Arc<dyn PeerConnection>, Error> {
        self(config, handler)
    }
}
