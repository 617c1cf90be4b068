//! The list of requirements names files and tests that there are.

use std::{collections::BTreeSet, fs, path::Path};

use esp_sctp::{Association, Config, Misuse};
use esp_wire::Origin;

const LIST: &str = include_str!("../../../../docs/rfc9260.md");

/// The text of all sources below a folder of this crate.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|end| end == "rs") {
            all.push_str(&fs::read_to_string(&path).expect("text"));
        }
    }
}

/// The names of all functions that are tests, or that a macro makes tests.
fn tests(sources: &str) -> BTreeSet<&str> {
    let mut tests = BTreeSet::new();
    let mut marked = false;
    for line in sources.lines().map(str::trim) {
        if line == "#[test]" {
            marked = true;
        } else if let Some(rest) = line.strip_prefix("fn ") {
            let name = rest.split('(').next().unwrap_or_default();
            if std::mem::take(&mut marked) {
                tests.insert(name);
            }
        }
    }
    tests
}

/// What a cell of the table has in backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_list_names_what_there_is() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    sources(&home.join("src"), &mut all);
    sources(&home.join("tests"), &mut all);
    let tests = tests(&all);
    let is_there = |file: &str| home.join("src").join(file).exists() || home.join(file).exists();
    let rows = LIST
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| §"));
    let (mut files, mut named) = (0, 0);
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [section, _, cited, tested] = cells[..] else {
            panic!("four cells: {row}");
        };
        for name in quoted(cited).chain(quoted(tested)) {
            if name.ends_with(".rs") {
                assert!(is_there(name), "§{section}: there is no {name}");
                files += 1;
            } else {
                assert!(tests.contains(name), "§{section}: there is no test {name}");
                named += 1;
            }
        }
    }
    assert!(files > 50 && named > 50, "{files} files, {named} tests");
    // Beside the table tests are named, too.
    for name in quoted(LIST).filter(|name| name.matches('_').count() > 2) {
        assert!(tests.contains(name), "there is no test {name}");
    }
}

#[test]
fn settings_beyond_the_rules_are_refused() {
    let refused = |config: Config, setting: &'static str| {
        let made = Association::new(config, Origin::seeded(1));
        assert_eq!(made.err(), Some(Misuse::Config(setting)));
    };
    // RFC 9260 §3.1, §3.3.2, §6.2.
    refused(Config::default().with_ports(0, 5_000), "local_port");
    refused(Config::default().with_ports(5_000, 0), "remote_port");
    refused(
        Config::default().with_buffers(1 << 20, 1_499),
        "receive_buffer",
    );
    let slow = Config {
        sack_delay: std::time::Duration::from_millis(501),
        ..Config::default()
    };
    refused(slow, "sack_delay");
}
