//! Messages: they go to the host's log and to the decision record. The host keeps a bounded number of them.

pub use crate::bindings::shared::vpsie::autoscaler::log::Level;

/// Writes one message.
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::shared::vpsie::autoscaler::log::write(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}

/// For the policy's author.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref());
}

/// What an operator may want to know.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref());
}

/// What an operator should look at.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref());
}

/// What is wrong.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref());
}
