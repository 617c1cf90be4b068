//! What the tests share.

use std::time::Duration;

use esp_lab::{Call, Device, DeviceConfig, Host, Outcome};

/// How long anything may take on a slow and busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

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
