//! Capture and render: sources, sinks, encoders and decoders.
