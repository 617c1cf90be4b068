//! The DTLS library behind one seam: fingerprints in, SRTP keys out, records through.
