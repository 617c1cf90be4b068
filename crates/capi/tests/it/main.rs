//! C programs against the library, and the headers by themselves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
        compiler.args(more).args(["-lm", "-ldl", "-lrt", "-lgcc_s"]);
        ran(compiler)
    }

    /// Runs it to its good end.
    fn run(&self) -> String {
        let output = ran(Command::new(&self.0));
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
fn the_example_greets() {
    let said = Program::compile("examples/two_peers.c", Library::Shared).run();
    assert!(said.contains("caller: \"Hello!\""), "{said}");
    assert!(said.contains("callee: \"Hello!\""), "{said}");
}

#[test]
fn the_headers_are_clean_c_and_cpp_each_by_itself() {
    for header in ["esp_peer.h", "esp_peer_types.h", "esp_peer_default.h"] {
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
