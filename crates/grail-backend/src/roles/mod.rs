//! The backend's roles: each is moved by rows, and hands on by writing rows.
//!
//! `scan` follows chain and mempool, `build` drafts settlements, `prove` has them proven and
//! judged, `sign` asks operators and combines their signatures, `publish` hands them to the
//! network, `lane` ends what stands still, `last_resort` tells of coins that grow old, `limited`
//! what is refused for a limit, `retain` lets go of what nobody can need any more, `rotation_feed`
//! tells of where rotations stand.

pub mod build;
pub mod lane;
pub mod last_resort;
pub(crate) mod limited;
pub mod prove;
pub(crate) mod publish;
pub mod retain;
pub mod rotation_feed;
pub mod scan;
pub mod sign;
