//! A network of a test's own: one interface with one address that carries multicast, and nobody else.

use std::process::Command;

/// Set where the test runs a second time, in that network.
const ALONE: &str = "ESP_DRIVER_TEST_NETWORK";

/// The address of this host there.
pub(crate) const ADDRESS: &str = "192.0.2.7";

/// Whether this command of iproute2 succeeded.
pub(crate) fn ip(arguments: &str) -> bool {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    status.is_ok_and(|status| status.success())
}

/// Runs `test` in a network namespace; `name` is its whole name in this binary.
///
/// Needs `unshare`, `ip`, and the right to a namespace: without them it fails, since a test that tries nothing must
/// not pass.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        for words in [
            "link set lo up",
            "link add own type veth peer name far",
            "link set far up",
            "link set own up",
            "addr add 192.0.2.7/24 dev own",
        ] {
            assert!(ip(words), "ip {words}");
        }
        return test();
    }
    let output = Command::new("unshare")
        .arg("-rn")
        .arg(std::env::current_exe().expect("a running program has a path"))
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("this test needs `unshare` of util-linux");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "this test needs a network namespace (`unshare -rn`, and `ip` of iproute2), or has failed in it:\n{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
