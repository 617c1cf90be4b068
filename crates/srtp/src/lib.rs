//! SRTP and SRTCP: protect, unprotect, replay windows.
