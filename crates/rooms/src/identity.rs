//! A self-signed certificate that is kept between runs.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use crate::Error;

/// Apple's limit for certificates is 825 days; a new one is made before that.
const LIFETIME: Duration = Duration::from_secs(800 * 86_400);
const RENEWAL: Duration = Duration::from_secs(30 * 86_400);
const EXPIRES: &str = "expires: ";

/// A self-signed certificate with its key, made once and kept in a file of mode 0600.
///
/// `Debug` never shows the key.
pub struct Identity {
    certificate_pem: String,
    key_pem: String,
    fingerprint: [u8; 32],
}

impl Identity {
    /// The identity in `directory/identity.pem`; it is made, with its directory, when it is not there or is
    /// about to expire. `names` (host names and addresses) go into a new certificate.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read or written, [`Error::Certificate`] when a name
    /// cannot be in a certificate or the file is damaged.
    pub fn keep(directory: &Path, names: &[String]) -> Result<Self, Error> {
        let path = directory.join("identity.pem");
        match fs::read_to_string(&path) {
            Ok(text) => {
                tighten(&path)?;
                if still_valid(&text) {
                    return Self::parse(&text);
                }
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(Error::File(path, why)),
        }
        let identity = Self::generate(names)?;
        identity.save(directory, &path)?;
        Ok(identity)
    }

    /// A new certificate that is kept nowhere.
    ///
    /// # Errors
    /// [`Error::Certificate`] when a name cannot be in a certificate.
    pub fn generate(names: &[String]) -> Result<Self, Error> {
        let failed = |why: rcgen::Error| Error::Certificate(why.to_string());
        let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "esp-webrtc");
        params.distinguished_name = name;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // A day back, for devices whose clock is late.
        let now = unix_time();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + now.saturating_sub(Duration::from_secs(86_400));
        params.not_after = epoch + (now + LIFETIME);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Identity {
            fingerprint: Sha256::digest(certificate.der()).into(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key in PEM (PKCS#8): a secret.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// SHA-256 of the certificate as browsers show it: 32 bytes in upper-case hexadecimal with colons.
    pub fn fingerprint_text(&self) -> String {
        let bytes: Vec<String> = self
            .fingerprint
            .iter()
            .map(|b| format!("{b:02X}"))
            .collect();
        bytes.join(":")
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let block = |label: &str| {
            let begin = text.find(&format!("-----BEGIN {label}-----"))?;
            let end = format!("-----END {label}-----");
            let length = text[begin..].find(&end)? + end.len();
            Some(format!("{}\n", &text[begin..begin + length]))
        };
        let damaged = || Error::Certificate("the kept identity is damaged; remove it".to_owned());
        let certificate_pem = block("CERTIFICATE").ok_or_else(damaged)?;
        let key_pem = block("PRIVATE KEY").ok_or_else(damaged)?;
        let der =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| damaged())?;
        Ok(Identity {
            fingerprint: Sha256::digest(&der).into(),
            certificate_pem,
            key_pem,
        })
    }

    /// Written beside its place and moved there, so that a crash leaves the old one or the new one.
    fn save(&self, directory: &Path, path: &Path) -> Result<(), Error> {
        let temporary = directory.join(format!("identity.{}.tmp", std::process::id()));
        let failed = |path: &Path| {
            let path: PathBuf = path.to_owned();
            move |why| Error::File(path, why)
        };
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // One left behind by a crash of a process with the same number.
        let _ = fs::remove_file(&temporary);
        let mut file = options.open(&temporary).map_err(failed(&temporary))?;
        let expires = (unix_time() + LIFETIME).as_secs();
        write!(
            file,
            "{EXPIRES}{expires}\n{}{}",
            self.certificate_pem, self.key_pem
        )
        .and_then(|()| file.sync_all())
        .map_err(failed(&temporary))?;
        fs::rename(&temporary, path).map_err(failed(path))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint_text())
    }
}

fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn still_valid(text: &str) -> bool {
    let expires = text
        .lines()
        .find_map(|line| line.strip_prefix(EXPIRES))
        .and_then(|seconds| seconds.trim().parse().ok())
        .unwrap_or(0);
    unix_time() + RENEWAL < Duration::from_secs(expires)
}

/// A key that others can read is closed to them.
fn tighten(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let failed = |why| Error::File(path.to_owned(), why);
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "others could read this key; its mode is 0600 now");
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        }
    }
    let _ = path;
    Ok(())
}
