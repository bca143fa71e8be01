//! What the program can be told to do, a module for each.

pub mod admin;
pub mod alarms;
pub mod config;
pub mod deploy;
pub mod exit;
pub mod init;
pub mod migrate;
pub mod rebuild;
pub mod run;
