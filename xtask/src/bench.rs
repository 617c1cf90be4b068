//! Runs the bench: a workspace of its own, so that other stacks stay out of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{prepare, run};

/// The other WebRTC stacks; each is a feature of the bench.
const STACKS: [&str; 3] = ["str0m", "webrtc", "libdatachannel"];

/// Builds the bench and hands it these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let root = run::root();
    let manifest = root.join("bench/Cargo.toml");
    let manifest = manifest.to_string_lossy();
    let features = features(arguments)?.join(",");
    let mut all = vec!["run", "--release", "--quiet", "--manifest-path", &manifest];
    all.extend(["--no-default-features", "--features", &features, "--"]);
    all.extend(arguments.iter().map(String::as_str));
    let target = std::env::var("CARGO_TARGET_DIR")
        .unwrap_or_else(|_| root.join("target/bench").to_string_lossy().into_owned());
    let mut variables = vec![("CARGO_TARGET_DIR", target.as_str())];
    let headers = compiler_headers();
    if std::env::var_os("BINDGEN_EXTRA_CLANG_ARGS").is_none() {
        variables.extend(
            headers
                .as_deref()
                .map(|it| ("BINDGEN_EXTRA_CLANG_ARGS", it)),
        );
    }
    run::cargo_with(&all, &variables)
}

/// Where libclang finds the headers that belong to a compiler: those of the C compiler do.
fn compiler_headers() -> Option<String> {
    let mut command = Command::new("cc");
    let output = command.arg("-print-file-name=include").output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    Some(format!("-I{}", folder.trim()))
}

/// The stacks that are asked for and can be built here; says which one is left out, and why.
fn features(arguments: &[String]) -> Result<Vec<&'static str>, String> {
    let chosen = contenders(arguments);
    let mut features: Vec<&str> = STACKS
        .into_iter()
        .filter(|stack| chosen.is_empty() || chosen.iter().any(|it| it.starts_with(stack)))
        .collect();
    if !features.contains(&"libdatachannel") {
        return Ok(features);
    }
    let mut missing = missing();
    if !missing.is_empty() && prepare::can_install() {
        let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        match prepare::install(&packages) {
            Ok(()) => missing.clear(),
            Err(why) => eprintln!("{why}"),
        }
    }
    if missing.is_empty() {
        return Ok(features);
    }
    let (what, packages): (Vec<&str>, Vec<&str>) = missing.into_iter().unzip();
    let why = format!(
        "libdatachannel cannot be built without {}; on Debian: apt-get install {}",
        what.join(", "),
        packages.join(" ")
    );
    if !chosen.is_empty() {
        return Err(why);
    }
    eprintln!(
        "{why}\nIt is left out; `--contenders ours,str0m,webrtc,quinn` leaves it out without a word."
    );
    features.retain(|it| *it != "libdatachannel");
    Ok(features)
}

/// The contenders that the arguments name; none means all.
fn contenders(arguments: &[String]) -> Vec<&str> {
    let mut names = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (argument.as_str(), None),
        };
        if option == "--contender" || option == "--contenders" {
            let value = value.or_else(|| arguments.next().map(String::as_str));
            names.extend(value.unwrap_or_default().split(','));
        }
    }
    names
}

/// What the build of libdatachannel lacks here, and the packages of Debian that hold it.
fn missing() -> Vec<(&'static str, &'static str)> {
    let programs = [
        ("c++", "a C++ compiler", "g++"),
        ("cmake", "cmake", "cmake"),
        ("make", "make", "make"),
    ];
    let mut missing: Vec<_> = programs
        .into_iter()
        .filter(|(program, _, _)| !run::exists(program))
        .map(|(_, what, package)| (what, package))
        .collect();
    let headers = std::env::var_os("OPENSSL_ROOT_DIR").map(PathBuf::from);
    let headers = headers.unwrap_or_else(|| PathBuf::from("/usr"));
    if !headers.join("include/openssl/ssl.h").exists() {
        missing.push(("the headers of OpenSSL", "libssl-dev"));
    }
    if !has_libclang() {
        missing.push(("libclang", "libclang1"));
    }
    missing
}

/// Whether libclang lies where its loader looks for it.
fn has_libclang() -> bool {
    let mut folders = vec![PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")];
    folders.extend(std::env::var_os("LIBCLANG_PATH").map(PathBuf::from));
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries(Path::new("/usr/lib")) {
        let path = entry.path();
        folders.push(path.join("lib"));
        folders.push(path);
    }
    folders.iter().any(|folder| {
        entries(folder).any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let rest = name.strip_prefix("libclang");
            let rest =
                rest.map(|it| it.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit()));
            rest.is_some_and(|it| it.starts_with(".so"))
        })
    })
}
