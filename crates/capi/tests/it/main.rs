//! C programs against the library, and the headers by themselves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use esp_rooms::{Config, Server};

/// The folder of this crate.
const HERE: &str = env!("CARGO_MANIFEST_DIR");
const STRICT: &[&str] = &["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// Which of the two libraries a program is linked with.
#[derive(Clone, Copy)]
enum Library {
    Static,
    Shared,
}

fn here(path: &str) -> PathBuf {
    Path::new(HERE).join(path)
}

fn c_compiler() -> Command {
    Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
}

fn ran(mut command: Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{command:?}: {error}; the tests need a C compiler"))
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    format!("{out}\n{err}")
}

/// The folder that Cargo has put the libraries in: those of the example in `tests/library.rs`.
fn libraries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let place = test.parent().unwrap().parent().unwrap().join("examples");
    let built = place.join("libesp_webrtc.a").exists();
    assert!(
        built,
        "run `cargo test -p esp-capi`, which builds examples, too"
    );
    place
}

/// A program that was compiled for one test and goes with it.
struct Program(PathBuf);

impl Program {
    fn compile(source: &str, library: Library) -> Self {
        let name = Path::new(source).file_stem().unwrap().to_str().unwrap();
        let program = std::env::temp_dir().join(format!("esp-capi-{name}-{}", std::process::id()));
        // What OpenSSL needs, where another package of the build has asked for it.
        let plain = Program::link(source, library, &program, &[]);
        if !plain.status.success() {
            let whole = Program::link(source, library, &program, &["-lssl", "-lcrypto"]);
            assert!(whole.status.success(), "{}\n{}", said(&plain), said(&whole));
        }
        Program(program)
    }

    fn link(source: &str, library: Library, program: &Path, more: &[&str]) -> Output {
        let libraries = libraries();
        let mut compiler = c_compiler();
        compiler.args(["-std=gnu99", "-g", "-pthread"]).args(STRICT);
        compiler.arg("-I").arg(here("include")).arg(here(source));
        compiler.arg("-o").arg(program);
        match library {
            Library::Static => compiler.arg(libraries.join("libesp_webrtc.a")),
            Library::Shared => compiler
                .arg("-L")
                .arg(&libraries)
                .arg("-lesp_webrtc")
                .arg(format!("-Wl,-rpath,{}", libraries.display())),
        };
        compiler
            .args(more)
            .args(["-lstdc++", "-lm", "-ldl", "-lrt", "-lgcc_s"]);
        ran(compiler)
    }

    /// Runs it to its good end.
    fn run(&self) -> String {
        self.run_with(&[], "")
    }

    /// As `run`, with arguments and what it is to read.
    fn run_with(&self, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new(&self.0);
        command.args(arguments).stdin(Stdio::piped());
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        // One that has ended already does not read; what it said is looked at below.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{}\n{said}", output.status);
        said
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn two_peers_of_a_c_program_talk() {
    let said = Program::compile("tests/c/pair.c", Library::Static).run();
    assert!(said.contains("passed"), "{said}");
}

#[test]
fn an_implementation_of_ones_own_is_called() {
    let said = Program::compile("tests/c/custom.c", Library::Shared).run();
    assert!(said.contains("passed"), "{said}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let said = Program::compile("tests/c/misuse.c", Library::Shared).run();
    assert!(said.contains("passed"), "{said}");
}

#[test]
fn two_solutions_of_a_c_program_call_each_other() {
    let said = Program::compile("tests/c/solution.c", Library::Shared).run();
    assert!(said.contains("passed"), "{said}");
}

#[test]
fn pictures_go_by_a_data_channel() {
    let said = Program::compile("tests/c/pictures.c", Library::Shared).run();
    assert!(said.contains("passed"), "{said}");
}

#[test]
fn the_media_of_the_library_serve_a_call() {
    let folder = std::env::temp_dir().join(format!("esp-capi-recordings-{}", std::process::id()));
    let program = Program::compile("tests/c/media.c", Library::Shared);
    let said = program.run_with(&[folder.to_str().unwrap()], "");
    assert!(said.contains("passed"), "{said}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_solution_runs_over_a_peer_connection_of_ones_own() {
    let said = Program::compile("tests/c/custom_solution.c", Library::Shared).run();
    assert!(said.contains("passed"), "{said}");
}

#[test]
fn what_makes_no_sense_to_a_solution_is_refused() {
    let said = Program::compile("tests/c/misuse_solution.c", Library::Shared).run();
    assert!(said.contains("passed"), "{said}");
}

#[test]
fn two_devices_of_a_c_program_meet_in_a_room() {
    let server = Server::start(Config::local(0)).unwrap();
    let room = server.room_url("capi");
    let said = Program::compile("tests/c/rooms.c", Library::Shared).run_with(&[&room], "");
    assert!(said.contains("passed"), "{said}");
    server.stop();
}

#[test]
fn the_doorbell_joins_rings_and_leaves() {
    let server = Server::start(Config::local(0)).unwrap();
    let room = server.room_url("door");
    let doorbell = Program::compile("examples/doorbell.c", Library::Shared);
    let said = doorbell.run_with(&[&room], "\nq\n");
    assert!(said.contains("return: ring"), "{said}");
    server.stop();
}

#[test]
fn the_example_greets() {
    let said = Program::compile("examples/two_peers.c", Library::Shared).run();
    assert!(said.contains("caller: \"Hello!\""), "{said}");
    assert!(said.contains("callee: \"Hello!\""), "{said}");
}

#[test]
fn the_headers_are_clean_c_and_cpp_each_by_itself() {
    for header in [
        "esp_peer.h",
        "esp_peer_types.h",
        "esp_peer_default.h",
        "esp_peer_signaling.h",
        "esp_peer_janus_signaling.h",
        "esp_peer_whip_signaling.h",
        "esp_webrtc.h",
        "esp_webrtc_defaults.h",
        "esp_webrtc_media.h",
    ] {
        for (language, standard) in [("c", "-std=c99"), ("c", "-std=c17"), ("c++", "-std=c++11")] {
            let mut compiler = match language {
                "c" => c_compiler(),
                _ => Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into())),
            };
            compiler.args(["-fsyntax-only", standard, "-x", language]);
            compiler.args(STRICT).arg(here("include").join(header));
            if language == "c" {
                compiler.args(["-Wstrict-prototypes"]);
            }
            let output = ran(compiler);
            assert!(
                output.status.success(),
                "{header}, {standard}: {}",
                said(&output)
            );
        }
    }
}
