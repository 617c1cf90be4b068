//! The esp-webrtc program.

mod arguments;
mod call;
mod channels;
mod doorbell;
mod failure;
mod files;
mod inputs;
mod media;
mod outgoing;
mod print;
mod probe;
mod serve;
mod server;
mod session;
mod stream;
mod trial;

use std::process::ExitCode;

use arguments::{Command, Parsed};
use print::Printer;

fn main() -> ExitCode {
    let command = match arguments::parse(std::env::args_os()) {
        Parsed::Command(command) => command,
        Parsed::Help(text) => {
            print::out(&text);
            return ExitCode::SUCCESS;
        }
        Parsed::Wrong(failure) => return failure.report(),
    };
    let output = command.output();
    print::start_log(output.verbose);
    let printer = Printer::new(output.events());
    let done = match command {
        Command::Doorbell(arguments) => doorbell::run(*arguments, printer),
        Command::Serve(arguments) => serve::run(arguments, printer),
        Command::Call(arguments) => call::run(*arguments, printer),
        Command::Publish(arguments) => stream::publish(*arguments, printer),
        Command::Play(arguments) => stream::play(*arguments, printer),
        Command::Probe(arguments) => probe::run(arguments, printer),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
