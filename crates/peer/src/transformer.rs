//! Transformers that outlive a call: each call's RTP session gets a handle to the same one.

use std::sync::{Arc, Mutex, PoisonError};

use esp_rtp::{Buffers, EncodedSize, FrameInfo, TransformError, Transformer};

/// A handle to a transformer that several sessions use one after the other.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Box<dyn Transformer>>>);

impl Shared {
    pub(crate) fn new(transformer: Box<dyn Transformer>) -> Self {
        Shared(Arc::new(Mutex::new(transformer)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut dyn Transformer) -> T) -> T {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(inner.as_mut())
    }
}

impl Transformer for Shared {
    fn encoded_size(&mut self, info: FrameInfo, frame: &[u8]) -> EncodedSize {
        self.with(|inner| inner.encoded_size(info, frame))
    }

    fn transform(
        &mut self,
        info: FrameInfo,
        buffers: Buffers<'_>,
    ) -> Result<usize, TransformError> {
        self.with(|inner| inner.transform(info, buffers))
    }
}
