//! A site with one page.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::Outcome;

/// Serves one page without any policy until it is dropped.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    /// Serves this HTML at every path.
    ///
    /// # Errors
    /// When no port is free.
    pub fn serve(html: &str) -> Outcome<Self> {
        let failed = |error: std::io::Error| format!("a site: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{html}",
            html.len()
        );
        let ending = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ending);
        let thread = thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                // Whatever it asks for, in a thread of its own: browsers open more than they use.
                let answer = answer.clone();
                thread::spawn(move || {
                    if stream.read(&mut [0; 4_096]).is_ok_and(|read| read > 0) {
                        let _ = stream.write_all(answer.as_bytes());
                    }
                });
            }
        });
        Ok(Site {
            address,
            ending,
            thread: Some(thread),
        })
    }

    /// Its URL by number, an origin of its own.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Its URL by name: browsers let it use microphone and camera.
    pub fn trusted_url(&self) -> String {
        format!("http://localhost:{}/", self.address.port())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
