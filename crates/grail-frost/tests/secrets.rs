//! What is secret cannot be copied, compared, printed or encoded: this file compiles only while
//! none of the types has any of these traits.

#![allow(missing_docs)]

use grail_frost::{
    Draw, SecretNonce, Sessions, SigningShare,
    dkg::{Dealt, HostKey, Received, Suspicion},
};

/// Fails to compile when the type has the trait: then two implementations of `Either` apply, and
/// the compiler cannot choose.
macro_rules! has_none_of {
    ($type:ty: $($trait:path),*) => {
        $(const _: fn() = || {
            struct WithTrait;
            trait Either<Choice> {
                fn choose() {}
            }
            impl<T: ?Sized> Either<()> for T {}
            impl<T: ?Sized + $trait> Either<WithTrait> for T {}
            <$type as Either<_>>::choose();
        };)*
    };
}

macro_rules! is_secret {
    ($($type:ty),*) => {
        $(has_none_of!(
            $type: Clone, Copy, Default, PartialEq, std::hash::Hash, serde::Serialize,
            std::fmt::Display
        );)*
    };
}

macro_rules! is_mute {
    ($($type:ty),*) => {
        $(has_none_of!($type: std::fmt::Debug);)*
    };
}

is_secret!(
    Dealt,
    Draw,
    HostKey,
    Received,
    SecretNonce,
    Sessions,
    SigningShare,
    Suspicion
);
is_mute!(Draw, HostKey, SecretNonce, Sessions, SigningShare);

#[test]
fn what_is_secret_has_no_copy_comparison_or_encoding() {
    // Compiling this file is the test.
}
