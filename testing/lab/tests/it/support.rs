//! What the tests share.

use std::time::Duration;

use esp_e2e::Program;
use esp_lab::{Call, Device, DeviceConfig, Host, Namespace, Outcome};

/// How long anything may take on a slow and busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The program of the devices.
pub(crate) const DEVICE: &str = env!("CARGO_BIN_EXE_device");

pub(crate) type Devices = Call<Device, Device>;

/// Two devices that call each other.
pub(crate) fn call(
    caller: &Host,
    callee: &Host,
    caller_config: &DeviceConfig,
    callee_config: &DeviceConfig,
) -> Outcome<Devices> {
    let caller = Device::offering(caller, DEVICE, caller_config)?;
    let callee = Device::answering(callee, DEVICE, callee_config)?;
    Call::begin(caller, callee)
}

/// The real program in a network of its own. It is built outside, lest what serves the compiler lives on in there.
pub(crate) fn program(namespace: &Namespace, arguments: &[&str]) -> Outcome<Program> {
    Program::path()?;
    namespace.inside(|| Program::start(arguments))?
}

/// Data flows both ways from now on, byte by byte as it was sent.
pub(crate) fn data_flows(call: &mut Devices, when: &str) -> Outcome<()> {
    let before = (call.caller.messages(), call.callee.messages());
    call.until(&format!("data flows {when}"), PATIENCE, |caller, callee| {
        caller.messages() > before.0 + 20 && callee.messages() > before.1 + 20
    })
}

/// Data and sound flow both ways from now on, byte by byte as they were sent.
pub(crate) fn flows(call: &mut Devices, when: &str) -> Outcome<()> {
    data_flows(call, when)?;
    let before = (call.caller.sound(), call.callee.sound());
    call.until(
        &format!("sound flows {when}"),
        PATIENCE,
        |caller, callee| caller.sound() > before.0 + 20 && callee.sound() > before.1 + 20,
    )
}
